"""`affect report`: a run as a page, and several runs side by side."""

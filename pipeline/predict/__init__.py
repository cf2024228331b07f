"""`affect predict`: new videos to scores over time, and every file that shows them."""

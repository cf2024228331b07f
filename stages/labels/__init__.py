"""Stage 0: a data set's own annotation files to one manifest."""

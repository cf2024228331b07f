"""Stage 1: a video to rows of features."""

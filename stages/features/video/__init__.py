"""A recording as frames with their times."""

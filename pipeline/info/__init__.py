"""`affect info`."""

"""What a device asks of those who compute on it."""

"""`affect extract-features`, `check-videos` and `inspect-cache`: videos into a store, and what is in it."""

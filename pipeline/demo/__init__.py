"""`affect demo`: the whole chain on videos made here."""

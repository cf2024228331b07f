"""YAML presets; each says only what differs from the defaults in `schema.py`."""

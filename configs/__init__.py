"""What a person may change: frozen dataclasses with their defaults, and YAML presets that say what differs."""

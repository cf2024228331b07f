"""Data whose answer is known: a face that moves, videos of it, and features without any video."""

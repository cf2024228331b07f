"""Arrays as text and back, exactly: what a state in JSON holds of them."""

import base64

import numpy as np

from ....cache.records import Array


def array_to_text(values: Array) -> str:
    """The values as float64, little-endian, in base64; their shape is not kept."""
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode()


def array_from_text(text: str) -> Array:
    """(n,) float64: what `array_to_text` was given, flat."""
    return np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)

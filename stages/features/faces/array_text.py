"""Arrays as text and back, exactly: what a state in JSON holds of them."""

import base64

import numpy as np

from ....cache.records import Array


def array_to_text(values: Array, dtype: str = "<f8") -> str:
    """The values as `dtype`, little-endian, in base64; their shape is not kept."""
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def array_from_text(text: str, dtype: str = "<f8") -> Array:
    """(n,): what `array_to_text` was given, flat."""
    return np.frombuffer(base64.b64decode(text), dtype).astype(np.dtype(dtype).newbyteorder("="))

"""Bytes with a sha256 of their own at their end, so that a flipped bit or a torn end is noticed."""

import hashlib

DIGEST_BYTES = 32


def sealed(data: bytes) -> bytes:
    """The bytes, and their digest behind them."""
    return data + hashlib.sha256(data).digest()


def is_sealed(data: bytes) -> bool:
    """Whether they are as `sealed` made them; what was sealed is `data[:-DIGEST_BYTES]`."""
    return hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]

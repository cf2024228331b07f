"""`affect inspect-cache`: what a store holds, what made it, who is in each video, and what is damaged."""

from ...cache.inspect import StoreReport, inspect_store

__all__ = ["StoreReport", "inspect_store"]

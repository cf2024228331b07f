"""Frozen networks by name: what turns a face into a feature vector."""

from .load import load_backbone

__all__ = ["load_backbone"]

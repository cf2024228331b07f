"""Faces in frames: found, followed, linked to people and cut out."""

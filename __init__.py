"""Affect recognition in long in-the-wild videos: cached face features, a clip Transformer, context attention."""

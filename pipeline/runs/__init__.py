"""Run folders: what training writes, import-checkpoint makes and predict reads."""

"""Stage 2: clips of features to scores."""

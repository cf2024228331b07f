"""`affect train-temporal`: folds, grids and held-out scores."""

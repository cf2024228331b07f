"""What a run is trained and judged on: its clips, its folds, each fold's work, and the metrics of all."""

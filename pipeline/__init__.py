"""What each command does: loops over videos and folds, resume, workers, run folders, joining the stages."""

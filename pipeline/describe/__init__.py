"""What can be said of faces without labels and without a run."""

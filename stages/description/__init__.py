"""What can be said of faces without any label: where they are, how they turn and move, and who moves with whom."""

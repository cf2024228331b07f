"""What the terminal shows: summaries in words, and progress bars."""

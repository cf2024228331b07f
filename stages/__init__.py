"""What each stage computes: one value into another. No stage imports another."""

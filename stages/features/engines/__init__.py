"""What computes a network in place of torch."""

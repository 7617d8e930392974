"""What the explorer computes of a run."""

"""summary.json: all that one audit found, and the examples that its page shows."""

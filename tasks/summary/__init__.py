"""summary.json: everything that one audit found, and the examples that its page shows."""

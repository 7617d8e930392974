"""The run folder: what lies in it, its state, and how others read it."""

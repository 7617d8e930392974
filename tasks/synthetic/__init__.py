"""A generated benchmark with labels, masks and a planted shortcut."""

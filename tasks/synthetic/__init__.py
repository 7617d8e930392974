"""A labelled benchmark with a planted shortcut, drawn without a download."""

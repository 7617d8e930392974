"""Which runs of a folder are deleted to make room, and which stay and why."""

"""Spurious patterns: proposed on one half of the images, confirmed by exchanges on the other."""

"""Bytes at local and remote addresses, and the lock on a folder."""

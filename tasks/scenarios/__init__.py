"""Filters that a user saved under a name, and their figures."""

"""Verbs on data: each file does one thing to a dataset, a shard or a run folder."""

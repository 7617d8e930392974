"""Shards on Dask: the cluster, the queue of shards, and what happens when a worker dies."""

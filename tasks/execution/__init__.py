"""Shards on Dask: the cluster, its queue, and what happens when a worker dies."""

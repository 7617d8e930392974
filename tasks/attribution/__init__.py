"""One shard on a worker: the pass, its maps, their scores, the parts and their fingerprints."""

"""One shard on a worker: its forward and backward pass, maps, scores, parts and fingerprints."""

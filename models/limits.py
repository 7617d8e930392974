"""The largest numbers that settings may have: larger ones are slips, or no memory holds them."""

LARGEST_SEED = 2**32 - 1  # of NumPy's generators
MOST_IMAGES = 1_000_000_000  # of a dataset
MOST_IN_MEMORY = 65_536  # images at once: of a batch or a shard
MOST_PASSES = 1_000_000  # of a method, for one image
MOST_CELLS = 1_024  # along each side of a mask

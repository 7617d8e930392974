"""From bytes to pixels: pictures, masks, regions, and estimated foregrounds."""

"""From bytes to pixels: pictures of every mode, masks, and regions that are drawn."""

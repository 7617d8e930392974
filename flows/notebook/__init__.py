"""What a run is in a notebook: data frames, their columns in words, and figures of images."""

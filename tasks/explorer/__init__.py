"""What the explorer shows of one image, and the plot of all."""

"""What the explorer takes, in a browser, on runs of many images."""

"""What is done with data, one capability per package."""

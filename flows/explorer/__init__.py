"""`sightline open`: the explorer's addresses, on loopback."""

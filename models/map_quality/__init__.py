"""How good a map is: does it lie on the object, is it faithful, does it forget with the network."""

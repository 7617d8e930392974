"""What every training objective does to a network with a shortcut."""

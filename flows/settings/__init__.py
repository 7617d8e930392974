"""The settings of every flow, composed of the packages' own."""

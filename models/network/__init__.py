"""Inside a network: its layers, and what one pass captures of them."""

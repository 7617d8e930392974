"""A network's layers, and what one pass captures of them."""

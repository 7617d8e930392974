"""Attribution methods, and the registry that names them."""

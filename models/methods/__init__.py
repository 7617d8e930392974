"""Attribution methods, one a file, and the registry that names them."""

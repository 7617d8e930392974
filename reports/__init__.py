"""Rows and arrays in, HTML and PNG out."""

"""Training objectives by name: erm, swap, dfr, sib and ibsgl, each with its forms and arguments."""

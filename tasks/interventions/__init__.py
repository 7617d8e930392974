"""Changed pictures: object or background removed, backgrounds exchanged with those of donors."""

"""Nouns of torch: classifiers, what one pass captures, and the maps that follow from it."""

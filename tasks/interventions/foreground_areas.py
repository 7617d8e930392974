"""How much of a picture its foreground may cover, as a share of its area.

The largest are those of what is filled in (filled_areas.py): an estimate leaves less background.
"""

SMALLEST, LARGEST = 0.01, 0.95  # outside of them nothing can be decided
LARGEST_DONOR_FOREGROUND = 0.6  # with a larger one the background would be mostly filling

"""How much of a picture its foreground may cover, as a share of its area.

The largest are those of what is filled in (filled_areas.py): an estimate leaves less background.
"""

from __future__ import annotations

import numpy as np

# Outside of them nothing can be decided; as precise as stored areas, which may be exactly 1%.
SMALLEST, LARGEST = float(np.float32(0.01)), float(np.float32(0.95))
LARGEST_DONOR_FOREGROUND = 0.6  # with a larger one the background would be mostly filling

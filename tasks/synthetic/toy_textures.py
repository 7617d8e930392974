"""Third look, the textures of the toys: where the second colour lies on the body, 0 to 1."""

from __future__ import annotations

import numpy as np

from tasks.synthetic.primitives import Array, Draw, Plane, fade, sine


def plain(draw: Draw, plane: Plane) -> Array:
    return np.zeros_like(plane.x_HW)


def striped(draw: Draw, plane: Plane) -> Array:
    """Upright stripes."""
    return _waves(draw, plane.x_HW)


def banded(draw: Draw, plane: Plane) -> Array:
    """Level stripes."""
    return _waves(draw, plane.y_HW)


def ringed(draw: Draw, plane: Plane) -> Array:
    return _waves(draw, np.sqrt(plane.x_HW * plane.x_HW + plane.y_HW * plane.y_HW))


def spotted(draw: Draw, plane: Plane) -> Array:
    """Small spots on a grid that stands on its corner."""
    waves = draw.between(1.5, 1.8)
    x_HW, y_HW = (axis * waves + draw.between(0, 1) for axis in (plane.x_HW, plane.y_HW))
    return fade(sine(x_HW) * sine(y_HW), 0.25, 0.45)


def _waves(draw: Draw, along_HW: Array) -> Array:
    """Half of them in the second colour."""
    return fade(sine(along_HW * draw.between(1.8, 2.2) + draw.between(0, 1)), -0.2, 0.2)


TEXTURES = {
    "plain": plain,
    "striped": striped,
    "banded": banded,
    "ringed": ringed,
    "spotted": spotted,
}

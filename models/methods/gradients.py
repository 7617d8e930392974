"""Pixel maps from the gradient of the target's logit. Shapes: B images, C colours, H W pixels.

The image is the normalised one, as the network gets it: the gradient's unit is that of its values.
"""

from __future__ import annotations

from torch import Tensor


def saliency(image_BCHW: Tensor, gradient_BCHW: Tensor) -> Tensor:
    """Simonyan et al. 2014: the gradient's largest magnitude among a pixel's colours."""
    return gradient_BCHW.abs().amax(1)


def input_x_gradient(image_BCHW: Tensor, gradient_BCHW: Tensor) -> Tensor:
    """Shrikumar et al. 2016: image times gradient, summed over colours; signed."""
    return (image_BCHW * gradient_BCHW).sum(1)

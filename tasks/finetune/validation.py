"""Figures on held-out images, also with exchanged backgrounds, by which the epoch is chosen.

Shapes: N images, B of them, C=3, H, W, K classes, D donors, P pairs of an image and a donor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from models.interventions import exchange_background, remove_object
from models.network.capture import as_found
from tasks.finetune.batches import INFERENCE_BATCH
from tasks.finetune.images import TrainingImages

COLLAPSED, BEYOND = 0.9, 0.1  # share of one prediction; and what it exceeds the labels' share by
BACKGROUNDS = 2  # that each image is tried on
# The most trustworthy first: plain accuracy on a biased split prefers the shortcut.
CHOICES = {
    "exchanged": ("accuracy_exchanged", "pictures of several classes with a foreground"),
    "worst_group": ("worst_group", "a column that names groups"),
    "accuracy": ("accuracy", "labelled pictures"),
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Validation images, all labelled, and how the network reads them."""

    images: TrainingImages
    preprocessing: Preprocessing
    device: torch.device

    def figure_for(self, choice: str | None) -> str:
        """The figure that the epoch is chosen by; by default the most trustworthy available."""
        available = {
            "exchanged": self._pair_2P.numel() > 0,
            "worst_group": self.images.group_N is not None,
            "accuracy": len(self.images) > 0,
        }
        choice = choice or next((name for name in CHOICES if available[name]), "accuracy")
        figure, needs = CHOICES[choice]
        if not available[choice]:
            others = " or ".join(name for name in available if available[name])
            raise UserError(
                f"--choose {choice} needs {needs} to validate on, and there are none: "
                + (f"choose {others}" if others else "name some with --validation-split")
            )
        return figure

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Accuracy, and the share of the class that is said most often; accuracy also on exchanged
        backgrounds and in the worst group, where available."""
        with as_found(network), torch.no_grad():
            row_N = torch.arange(len(self.images))
            predicted_N = self._predict(network, row_N)
            correct_N = predicted_N == self.images.label_N
            figures = {
                "accuracy": correct_N.float().mean().item(),
                "most_said": _largest_share(predicted_N),
            }
            if self.images.group_N is not None:
                groups = (correct_N[self.images.group_N == group] for group in self._groups)
                figures["worst_group"] = min(group.float().mean().item() for group in groups)
            if self._pair_2P.numel():
                row_P, donor_P = self._pair_2P
                correct_P = self._predict(network, row_P, donor_P) == self.images.label_N[row_P]
                figures["accuracy_exchanged"] = correct_P.float().mean().item()
        return figures

    def has_collapsed(self, most_said: float) -> bool:
        """Does the network say one class nearly always, though the images are of several?"""
        return most_said >= max(COLLAPSED, _largest_share(self.images.label_N) + BEYOND)

    @cached_property
    def _groups(self) -> list[int]:
        assert self.images.group_N is not None
        groups: list[int] = torch.unique(self.images.group_N).tolist()
        return groups

    @cached_property
    def _pair_2P(self) -> Tensor:
        """Each image with a known foreground, paired with donors of other classes."""
        generator, label_N = torch.Generator().manual_seed(0), self.images.label_N
        donor_D = self.images.donor_rows()
        pairs = []
        for row in torch.nonzero(self.images.known_N)[:, 0].tolist():
            other_D = donor_D[label_N[donor_D] != label_N[row]]
            drawn_D = other_D[torch.randperm(len(other_D), generator=generator)[:BACKGROUNDS]]
            pairs += [(row, donor) for donor in drawn_D.tolist()]
        return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T

    def _predict(self, network: nn.Module, row_N: Tensor, donor_N: Tensor | None = None) -> Tensor:
        """The classes of images as they are, or on their donors' backgrounds."""
        predicted = []
        for start in range(0, len(row_N), INFERENCE_BATCH):
            row_B = row_N[start : start + INFERENCE_BATCH]
            image_BCHW, mask_BHW = self._prepare(row_B)
            if donor_N is not None:
                donor_B = donor_N[start : start + INFERENCE_BATCH]
                other_BCHW = remove_object(*self._prepare(donor_B))
                image_BCHW = exchange_background(image_BCHW, mask_BHW, other_BCHW)
            predicted.append(network(image_BCHW).argmax(1).cpu())
        return torch.cat(predicted)

    def _prepare(self, row_B: Tensor) -> tuple[Tensor, Tensor]:
        image_BCHW = self.preprocessing.normalise(self.images.image_NCHW[row_B].to(self.device))
        return image_BCHW, self.images.mask_NHW[row_B].to(self.device) / 255


def _largest_share(class_N: Tensor) -> float:
    """Of the most frequent class."""
    return class_N.bincount().max().item() / len(class_N)

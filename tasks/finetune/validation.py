"""How well a network answers on pictures that it does not learn from, with other backgrounds too.

The epoch is chosen by it. Shapes: N pictures, B of them, C=3, H, W, K classes.
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
from tasks.finetune.images import TrainingImages

BACKGROUNDS = 2  # that each picture is tried on
AT_ONCE = 256
# In the order of trust: plain accuracy on a biased split prefers the shortcut.
CHOICES = {
    "exchanged": ("accuracy_exchanged", "pictures of several classes with a foreground"),
    "worst_group": ("worst_group", "a column that names groups"),
    "accuracy": ("accuracy", "labelled pictures"),
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Validation pictures, all labelled, and how they are shown to the network."""

    album: TrainingImages
    preprocessing: Preprocessing
    device: torch.device

    def figure_for(self, choice: str | None) -> str:
        """The figure that an epoch is chosen by; the most trustworthy that there is by default."""
        can = {
            "exchanged": self._swaps.numel() > 0,
            "worst_group": self.album.group_N is not None,
            "accuracy": len(self.album) > 0,
        }
        wanted = choice or next((name for name in CHOICES if can[name]), "accuracy")
        if not can[wanted]:
            left = [name for name, there in can.items() if there]
            raise UserError(
                f"--choose {wanted} needs {CHOICES[wanted][1]} to validate on, and there are none: "
                + (f"choose {' or '.join(left)}" if left else "name some with --validation-split")
            )
        return CHOICES[wanted][0]

    def judge(self, network: nn.Module) -> dict[str, float]:
        """Accuracy; with exchanged backgrounds and in the worst group, where these are known."""
        with as_found(network), torch.no_grad():
            right_N = self._right(network, torch.arange(len(self.album)))
            found = {"accuracy": right_N.float().mean().item()}
            if self.album.group_N is not None:
                groups = (right_N[self.album.group_N == group] for group in self._groups)
                found["worst_group"] = min(group.float().mean().item() for group in groups)
            if self._swaps.numel():
                right_S = self._right(network, *self._swaps)
                found["accuracy_exchanged"] = right_S.float().mean().item()
        return found

    @cached_property
    def _groups(self) -> list[int]:
        assert self.album.group_N is not None
        groups: list[int] = torch.unique(self.album.group_N).tolist()
        return groups

    @cached_property
    def _swaps(self) -> Tensor:
        """(2, S): each picture with a known foreground, and one of another class behind it."""
        generator, label_N = torch.Generator().manual_seed(0), self.album.label_N
        donor_D = self.album.donors()
        pairs = []
        for row in torch.nonzero(self.album.known_N)[:, 0].tolist():
            other_D = donor_D[label_N[donor_D] != label_N[row]]
            drawn_D = other_D[torch.randperm(len(other_D), generator=generator)[:BACKGROUNDS]]
            pairs += [(row, donor) for donor in drawn_D.tolist()]
        return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T

    def _right(self, network: nn.Module, row_N: Tensor, behind_N: Tensor | None = None) -> Tensor:
        """Which answers are right, of pictures as they are or on others' backgrounds."""
        right = []
        for at in range(0, len(row_N), AT_ONCE):
            row_B = row_N[at : at + AT_ONCE]
            image_BCHW, mask_BHW = self._pictures(row_B)
            if behind_N is not None:
                other_BCHW = remove_object(*self._pictures(behind_N[at : at + AT_ONCE]))
                image_BCHW = exchange_background(image_BCHW, mask_BHW, other_BCHW)
            right.append(network(image_BCHW).argmax(1).cpu() == self.album.label_N[row_B])
        return torch.cat(right)

    def _pictures(self, row_B: Tensor) -> tuple[Tensor, Tensor]:
        image_BCHW = self.preprocessing.normalise(self.album.image_NCHW[row_B].to(self.device))
        return image_BCHW, self.album.mask_NHW[row_B].to(self.device) / 255

"""Train a network on pictures that are held in memory. Shapes: N pictures, B a batch, C=3, H, W."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from models.mistakes import Mistake, nearest, shown
from models.preprocessing import Preprocessing
from tasks.inputs.listing import Columns, list_images

OnStep = Callable[[int, int, float], None]  # step from 1, number of steps, loss


class FinetuneMistake(Mistake):
    """Data that a network cannot be trained on."""


class FinetuneSettings(BaseModel):
    """How to train. The defaults are for the small network on the generated benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(4e-3, gt=0)  # the highest of one cycle
    weight_decay: float = Field(0.05, ge=0)
    flip: bool = True  # mirror half of the pictures
    seed: int = 0


@dataclass(frozen=True)
class LabelledImages:
    """Pictures as the network sees them but for mean and std, and their classes."""

    image_NCHW: Tensor  # uint8
    label_N: Tensor  # int64, places in the list of classes

    def __len__(self) -> int:
        return len(self.label_N)


def load_split(
    data: Path, split: str, classes: tuple[str, ...], preprocessing: Preprocessing
) -> LabelledImages:
    """Decode the pictures of one split of a table into memory, in the table's order."""
    listing = list_images(data, Columns(), split)
    places = {name: place for place, name in enumerate(classes)}
    labels = [_place(name, places) for name in listing.label.to_pylist()]
    pictures = [_decode(listing.root / name, preprocessing) for name in listing.image.to_pylist()]
    image_NCHW = torch.stack(pictures).contiguous(memory_format=torch.channels_last)
    return LabelledImages(image_NCHW, torch.tensor(labels))


def finetune(
    network: nn.Module,
    data: LabelledImages,
    preprocessing: Preprocessing,
    settings: FinetuneSettings,
    on_step: OnStep | None = None,
) -> None:
    """Train in place with cross entropy, AdamW and one cycle; ends in evaluation mode."""
    if len(data) < 2:
        raise FinetuneMistake(f"{len(data)} labelled pictures to train on: at least 2 are needed")
    network.to(memory_format=torch.channels_last).train()  # twice as fast on a CPU
    steps = settings.epochs * math.ceil(len(data) / settings.batch_size)
    optimiser = AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = OneCycleLR(optimiser, settings.learning_rate, total_steps=steps, pct_start=0.2)
    for step, (image_BCHW, label_B) in enumerate(_batches(data, settings), start=1):
        loss = cross_entropy(network(preprocessing.normalise(image_BCHW)), label_B)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if on_step is not None:
            on_step(step, steps, float(loss.detach()))
    network.eval()


@torch.inference_mode()
def predict(network: nn.Module, image_NCHW: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The class of each picture, as its place in the list of classes."""
    network.eval()
    batches = torch.split(image_NCHW, 256)
    return torch.cat([network(preprocessing.normalise(batch)).argmax(1) for batch in batches])


def _batches(data: LabelledImages, settings: FinetuneSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """All pictures in a new order each epoch."""
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.epochs):
        order_N = torch.randperm(len(data), generator=generator)
        for row_B in order_N.tensor_split(math.ceil(len(data) / settings.batch_size)):
            image_BCHW = data.image_NCHW[row_B]
            if settings.flip:
                image_BCHW = _flip_half(image_BCHW, generator)
            yield image_BCHW, data.label_N[row_B]


def _flip_half(image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    mirrored_B = torch.rand(len(image_BCHW), generator=generator) < 0.5
    return torch.where(mirrored_B[:, None, None, None], image_BCHW.flip(3), image_BCHW)


def _decode(path: Path, preprocessing: Preprocessing) -> Tensor:
    with Image.open(path) as picture:
        pixels_HWC = torch.from_numpy(np.array(picture.convert("RGB")))
    return preprocessing.place(pixels_HWC.permute(2, 0, 1))


def _place(name: str | None, places: dict[str, int]) -> int:
    if name not in places:
        hint = nearest(name, places) if isinstance(name, str) else ""
        raise FinetuneMistake(f"label {name!r} is none of {shown(places)}{hint}: mend the table")
    return places[name]

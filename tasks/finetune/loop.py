"""The training loop: steps, epochs, the choice of the best epoch, and resuming.

Shapes: N images, B a batch, K classes.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError, lacks_memory
from models.network.capture import as_found
from models.network.grid import Grid
from models.network.layers import device_of
from models.objectives.step import Learner, Loss, Objective
from tasks.finetune.batches import BatchSampler
from tasks.finetune.checkpoint import Checkpoints, Epoch, StateDicts, TrainingState
from tasks.finetune.images import TrainingImages
from tasks.finetune.optimiser import make_generator, make_optimiser, make_schedule
from tasks.finetune.predict import soft_labels
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.validation import HeldOut

log = logging.getLogger("sightline")

OnStep = Callable[[int, int, Mapping[str, float]], None]  # step from 1, of how many, loss and parts
OnEpoch = Callable[[TrainingState, nn.Module], None]


@dataclass(frozen=True, eq=False)
class Training:
    """A network, the images that it is trained on, and how."""

    network: nn.Module
    preprocessing: Preprocessing
    images: TrainingImages
    objective: Objective
    recipe: FinetuneSettings
    grids: tuple[Grid, ...] = ()
    held_out: HeldOut | None = None  # None: the last epoch is taken
    checkpoints: Checkpoints | None = None
    snapshot_grid: Grid | None = None  # the layer whose maps are drawn after each epoch

    @property
    def steps(self) -> int:
        return self.recipe.total_steps(len(self.images))

    @property
    def epochs(self) -> int:
        return math.ceil(self.steps / self.recipe.steps_per_epoch(len(self.images)))


def finetune(
    training: Training, on_step: OnStep | None = None, on_epoch: OnEpoch | None = None
) -> TrainingState:
    """Train in place; ends in evaluation mode, with the weights of the best epoch."""
    training.network.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    with torch.random.fork_rng(), _trainable_weights(training) as weights:
        torch.manual_seed(training.recipe.training_seed)
        trainer = _Trainer.of(training, weights)
        state = trainer.resume()
        while state.step < training.steps:
            state = trainer.train_epoch(state, on_step)
            if training.checkpoints is not None:
                training.checkpoints.save(state, trainer.state_dicts())
            if on_epoch is not None:
                on_epoch(state, training.network)
    if state.best_weights:
        training.network.load_state_dict(state.best_weights)
    training.network.eval()
    return state


@dataclass(eq=False)
class _Trainer:
    """A training and all that changes while it runs."""

    training: Training
    optimiser: Optimizer
    schedule: LRScheduler
    sampler: BatchSampler
    learner: Learner
    micro_batches: int  # of a step: as the recipe says, and more where memory ran out

    @classmethod
    def of(cls, training: Training, weights: list[nn.Parameter]) -> _Trainer:
        network, recipe = training.network, training.recipe
        optimiser = make_optimiser(recipe, weights)
        sampler = BatchSampler(
            training.images,
            soft_labels(network, training.images, training.preprocessing),
            training.preprocessing,
            training.objective,
            recipe,
            make_generator(recipe),
            device_of(network),
        )
        schedule = make_schedule(recipe, optimiser, training.steps)
        learner = Learner(network, training.grids)
        return cls(training, optimiser, schedule, sampler, learner, recipe.accumulate)

    def train_epoch(self, state: TrainingState, on_step: OnStep | None) -> TrainingState:
        """Train to the end of the next epoch, or of the training."""
        started, training = time.perf_counter(), self.training
        training.objective.prepare(self.learner, self.sampler.plain_batches, state.epoch)
        losses: dict[str, list[float]] = defaultdict(list)
        step = state.step
        _set_modes(training)
        for row_B in islice(self.sampler.draw_epoch(), training.steps - state.step):
            parts = self._step(row_B, step)
            step += 1
            for name, value in parts.items():
                losses[name].append(value)
            if on_step is not None:
                on_step(step, training.steps, parts)
        self._check_logits(step)
        figures = {f"train.{name}": fmean(values) for name, values in losses.items()}
        figures["train.learning_rate"] = float(self.schedule.get_last_lr()[0])
        figures["train.seconds"] = time.perf_counter() - started
        return self._validate(replace(state, epoch=state.epoch + 1, step=step), figures)

    def resume(self) -> TrainingState:
        """Restore the training's checkpoint; without one, start at the beginning."""
        checkpoint = self.training.checkpoints and self.training.checkpoints.load()
        if not checkpoint:
            return TrainingState()
        state, state_dicts = checkpoint
        self.learner.network.load_state_dict(state_dicts["network"])
        self.optimiser.load_state_dict(state_dicts["optimiser"])
        self.schedule.load_state_dict(state_dicts["schedule"])
        self.sampler.generator.set_state(state_dicts["generator"])
        self.learner.memory.update(state_dicts["memory"])
        torch.set_rng_state(state_dicts["random"])
        if state_dicts["random_of_cards"]:
            torch.cuda.set_rng_state_all(state_dicts["random_of_cards"])
        return state

    def state_dicts(self) -> StateDicts:
        """What `resume` restores."""
        schedule = self.schedule.state_dict()
        return {
            "network": self.learner.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": {key: value for key, value in schedule.items() if _is_serialisable(value)},
            "generator": self.sampler.generator.get_state(),
            "memory": dict(self.learner.memory),
            "random": torch.get_rng_state(),
            "random_of_cards": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def _step(self, row_B: Tensor, step: int) -> dict[str, float]:
        """One step of the optimiser; returns the loss and its parts."""
        drawn = self.sampler.generator.get_state()
        while True:
            try:
                losses = self._add_gradients(row_B, step)
                break
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error):
                    raise
            self._halve_micro_batches(len(row_B), step)
            self.sampler.generator.set_state(drawn)
        self.optimiser.step()
        self.schedule.step()
        return losses

    def _halve_micro_batches(self, images: int, step: int) -> None:
        """After a step of so many images has run out of memory."""
        self.optimiser.zero_grad()
        steps, device = f"step {step + 1} of {self.training.steps}", self.sampler.device
        if self.micro_batches >= images:
            raise UserError(
                f"{steps} does not fit into the memory of {device}, even image by image: free "
                "memory there, or train a smaller network or on smaller pictures"
            )
        self.micro_batches = min(2 * self.micro_batches, images)
        log.warning(
            "%s does not fit into the memory of %s: from here on the %d images of a step are "
            "computed in %d micro-batches, as with --accumulate %d",
            *(steps, device, images, self.micro_batches, self.micro_batches),
        )
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what the halves need is cut otherwise

    def _add_gradients(self, row_B: Tensor, step: int) -> dict[str, float]:
        """Of all micro-batches of a step; returns the loss and its parts."""
        training, losses = self.training, dict[str, float]()
        self.optimiser.zero_grad()
        batches = self.sampler.micro_batches(row_B, self.micro_batches, step, training.steps)
        for batch in batches:
            with self._autocast():
                loss = training.objective.loss(self.learner, batch)
            self._check_loss(loss, step)
            weight = len(batch.image_BCHW) / len(row_B)
            torch.autograd.backward(weight * loss.total)
            for name, part in {"loss": loss.total, **loss.parts}.items():
                losses[name] = losses.get(name, 0.0) + weight * part.item()
        return losses

    def _autocast(self) -> torch.autocast:
        enabled = self.training.recipe.precision == "bfloat16"
        return torch.autocast(self.sampler.device.type, torch.bfloat16, enabled=enabled)

    def _check_loss(self, loss: Loss, step: int) -> None:
        if loss.total.isfinite():
            return
        parts = ", ".join(f"{name} {part.item():.3g}" for name, part in loss.parts.items())
        steps = f"step {step + 1} of {self.training.steps}"
        raise self._divergence(f"the loss is {loss.total.item()} in {steps} ({parts})")

    def _check_logits(self, step: int) -> None:
        """Keep no weights that the last step spoilt; the loss would show it only a step later."""
        network = self.learner.network
        with as_found(network), torch.no_grad():
            logits_BK = network(next(self.sampler.plain_batches()).image_BCHW)
        if not logits_BK.isfinite().all():
            raise self._divergence(
                f"the network's logits are not finite after step {step} of {self.training.steps}"
            )

    def _divergence(self, reason: str) -> UserError:
        checkpoints = self.training.checkpoints
        kept = checkpoints is not None and checkpoints.path.is_file()
        return UserError(
            f"{reason}: lower --learning-rate or the objective's weights; the last good "
            f"checkpoint is {checkpoints.path if kept and checkpoints else 'none'}"
        )

    def _validate(self, state: TrainingState, figures: dict[str, float]) -> TrainingState:
        """Add the epoch to the history, and keep its weights if it is the best so far."""
        held_out = self.training.held_out
        if held_out is not None:
            validation = held_out.evaluate(self.learner.network)
            figures |= {f"validation.{name}": value for name, value in validation.items()}
        epoch = Epoch(state.epoch, state.step, figures)
        best = state.best_epoch
        state = replace(state, history=(*state.history, epoch))
        if held_out is None:
            return state
        name = f"validation.{held_out.figure_for(self.training.recipe.choose)}"
        if best is not None and figures[name] <= best.figures[name]:
            return state
        tensors = self.learner.network.state_dict()
        weights = {key: value.detach().cpu().clone() for key, value in tensors.items()}
        return replace(state, best=epoch.number, best_weights=weights)


@contextmanager
def _trainable_weights(training: Training) -> Iterator[list[nn.Parameter]]:
    """Yields the weights to train; inside, no other weight requires a gradient."""
    network = training.network
    trained = classification_head(network) if training.objective.trains == "head" else network
    weights = list(trained.parameters())
    flags = [(weight, weight.requires_grad) for weight in network.parameters()]
    network.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    try:
        yield weights
    finally:
        for weight, flag in flags:
            weight.requires_grad_(flag)


def _set_modes(training: Training) -> None:
    """Training mode, except for layers that keep their statistics."""
    network = training.network
    network.train(training.objective.trains == "all")
    if training.recipe.statistics == "frozen":
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def classification_head(network: nn.Module) -> nn.Module:
    """The last layer with weights, which gives the logits."""
    heads = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not heads:
        raise UserError(
            f"{type(network).__name__} has no last linear layer to train alone: "
            "choose another --objective than dfr"
        )
    return heads[-1]


def _is_serialisable(value: Any) -> bool:
    """False for the functions in a schedule's state."""
    return isinstance(value, int | float | list | dict | bool | str) or value is None

"""The training itself: steps, epochs, the choice of the best one, and going on where it stopped.

Shapes: N pictures, B a batch, K classes.
"""

from __future__ import annotations

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
from torch.nn.functional import one_hot
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from models.network.capture import as_found
from models.network.grid import Grid
from models.network.layers import device_of
from models.objectives.step import Learner, Loss, Objective
from tasks.finetune.batches import AT_ONCE, BatchSampler
from tasks.finetune.checkpoint import Checkpoints, Epoch, State, TrainingState
from tasks.finetune.images import TrainingImages
from tasks.finetune.optimiser import generator_of, optimiser_of, schedule_of
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.validation import HeldOut

OnStep = Callable[[int, int, Mapping[str, float]], None]  # step from 1, of so many, loss and parts
OnEpoch = Callable[[TrainingState, nn.Module], None]


@dataclass(frozen=True, eq=False)
class Training:
    """What learns from what, and how."""

    network: nn.Module
    preprocessing: Preprocessing
    album: TrainingImages
    objective: Objective
    recipe: FinetuneSettings
    grids: tuple[Grid, ...] = ()
    held_out: HeldOut | None = None  # None: the last epoch is taken
    checkpoints: Checkpoints | None = None
    watched: Grid | None = None  # the layer whose maps are shown after each epoch

    @property
    def steps(self) -> int:
        return self.recipe.steps_of(len(self.album))

    @property
    def epochs(self) -> int:
        return math.ceil(self.steps / self.recipe.batches_of(len(self.album)))


def finetune(
    training: Training, on_step: OnStep | None = None, on_epoch: OnEpoch | None = None
) -> TrainingState:
    """Train in place; ends in evaluation mode, with the weights of the best epoch."""
    training.network.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    with torch.random.fork_rng(), _learning(training) as weights:
        torch.manual_seed(training.recipe.training_seed)
        run = _Run.of(training, weights)
        standing = run.resumed()
        while standing.step < training.steps:
            standing = run.epoch(standing, on_step)
            if training.checkpoints is not None:
                training.checkpoints.save(standing, run.state())
            if on_epoch is not None:
                on_epoch(standing, training.network)
    if standing.best_weights:
        training.network.load_state_dict(standing.best_weights)
    training.network.eval()
    return standing


@torch.no_grad()
def answers(network: nn.Module, album: TrainingImages, preprocessing: Preprocessing) -> Tensor:
    """(N, K): the label, or where there is none what the network answers now, as probabilities."""
    found = []
    with as_found(network):
        for row_B in torch.split(torch.arange(len(album)), AT_ONCE):
            label_B = album.label_N[row_B]
            image_BCHW = album.image_NCHW[row_B].to(device_of(network))
            own_BK = network(preprocessing.normalise(image_BCHW)).softmax(1).cpu()
            told_BK = one_hot(label_B.clamp(min=0), own_BK.shape[1]).to(own_BK)
            found.append(torch.where(label_B[:, None] < 0, own_BK, told_BK))
    return torch.cat(found)


@torch.inference_mode()
def predict(network: nn.Module, image_NCHW: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The class of each picture, as its place in the list of classes."""
    network.eval()
    batches = torch.split(image_NCHW, AT_ONCE)
    return torch.cat([network(preprocessing.normalise(batch)).argmax(1) for batch in batches])


@dataclass(frozen=True, eq=False)
class _Run:
    """All that changes while a network learns."""

    training: Training
    optimiser: Optimizer
    schedule: LRScheduler
    deck: BatchSampler
    learner: Learner

    @classmethod
    def of(cls, training: Training, weights: list[nn.Parameter]) -> _Run:
        network, recipe = training.network, training.recipe
        optimiser = optimiser_of(recipe, weights)
        deck = BatchSampler(
            training.album,
            answers(network, training.album, training.preprocessing),
            training.preprocessing,
            training.objective,
            recipe,
            generator_of(recipe),
            device_of(network),
        )
        schedule = schedule_of(recipe, optimiser, training.steps)
        return cls(training, optimiser, schedule, deck, Learner(network, training.grids))

    def epoch(self, standing: TrainingState, on_step: OnStep | None) -> TrainingState:
        """Up to the end of the next epoch, or of the training."""
        started, training = time.perf_counter(), self.training
        training.objective.prepare(self.learner, self.deck.glances, standing.epoch)
        seen: dict[str, list[float]] = defaultdict(list)
        step = standing.step
        _set_modes(training)
        for row_B in islice(self.deck.epoch(), training.steps - standing.step):
            parts = self._step(row_B, step)
            step += 1
            for name, value in parts.items():
                seen[name].append(value)
            if on_step is not None:
                on_step(step, training.steps, parts)
        self._refuse_no_answers(step)
        figures = {f"train.{name}": fmean(values) for name, values in seen.items()}
        figures["train.learning_rate"] = float(self.schedule.get_last_lr()[0])
        figures["train.seconds"] = time.perf_counter() - started
        return self._judged(replace(standing, epoch=standing.epoch + 1, step=step), figures)

    def resumed(self) -> TrainingState:
        """Where a checkpoint of this training stands, with all its states; else the beginning."""
        kept = self.training.checkpoints and self.training.checkpoints.load()
        if not kept:
            return TrainingState()
        standing, state = kept
        self.learner.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.deck.generator.set_state(state["generator"])
        self.learner.memory.update(state["memory"])
        torch.set_rng_state(state["random"])
        if state["random_of_cards"]:
            torch.cuda.set_rng_state_all(state["random_of_cards"])
        return standing

    def state(self) -> State:
        """What `resumed` takes back."""
        schedule = self.schedule.state_dict()
        return {
            "network": self.learner.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": {key: value for key, value in schedule.items() if _is_plain(value)},
            "generator": self.deck.generator.get_state(),
            "memory": dict(self.learner.memory),
            "random": torch.get_rng_state(),
            "random_of_cards": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def _step(self, row_B: Tensor, step: int) -> dict[str, float]:
        """One step of the optimiser; the loss and its parts."""
        training, found = self.training, dict[str, float]()
        self.optimiser.zero_grad()
        for batch in self.deck.parts(row_B, step, training.steps):
            with self._precise():
                loss = training.objective.loss(self.learner, batch)
            self._refuse_no_number(loss, step)
            weight = len(batch.image_BCHW) / len(row_B)
            torch.autograd.backward(weight * loss.total)
            for name, part in {"loss": loss.total, **loss.parts}.items():
                found[name] = found.get(name, 0.0) + weight * part.item()
        self.optimiser.step()
        self.schedule.step()
        return found

    def _precise(self) -> torch.autocast:
        halves = self.training.recipe.precision == "bfloat16"
        return torch.autocast(self.deck.device.type, torch.bfloat16, enabled=halves)

    def _refuse_no_number(self, loss: Loss, step: int) -> None:
        if loss.total.isfinite():
            return
        parts = ", ".join(f"{name} {part.item():.3g}" for name, part in loss.parts.items())
        where = f"step {step + 1} of {self.training.steps}"
        raise self._stopped(f"the loss is {loss.total.item()} in {where} ({parts})")

    def _refuse_no_answers(self, step: int) -> None:
        """Weights that the last step spoiled are not kept; the loss would show it a step later."""
        network = self.learner.network
        with as_found(network), torch.no_grad():
            logits_BK = network(next(self.deck.glances()).image_BCHW)
        if not logits_BK.isfinite().all():
            raise self._stopped(
                f"the network's answers are no numbers after step {step} of {self.training.steps}"
            )

    def _stopped(self, why: str) -> UserError:
        checkpoints = self.training.checkpoints
        kept = checkpoints is not None and checkpoints.path.is_file()
        return UserError(
            f"{why}: lower --learning-rate or the objective's weights; the last good "
            f"checkpoint is {checkpoints.path if kept and checkpoints else 'none'}"
        )

    def _judged(self, standing: TrainingState, figures: dict[str, float]) -> TrainingState:
        """With the epoch in its history, and its weights if it is the best so far."""
        held_out, best = self.training.held_out, standing.best
        if held_out is not None:
            judged = held_out.judge(self.learner.network)
            figures |= {f"validation.{name}": value for name, value in judged.items()}
        epoch = Epoch(standing.epoch, standing.step, figures)
        standing = replace(standing, history=(*standing.history, epoch))
        if held_out is None:
            return standing
        name = f"validation.{held_out.figure_for(self.training.recipe.choose)}"
        if best is not None and figures[name] <= standing.history[best - 1].figures[name]:
            return standing
        state = self.learner.network.state_dict()
        weights = {key: value.detach().cpu().clone() for key, value in state.items()}
        return replace(standing, best=epoch.number, best_weights=weights)


@contextmanager
def _learning(training: Training) -> Iterator[list[nn.Parameter]]:
    """Yields the weights that learn; the others need no gradient inside."""
    network = training.network
    learning = [head_of_classes(network)] if training.objective.trains == "head" else [network]
    weights = [weight for module in learning for weight in module.parameters()]
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
    """Training mode, but for what keeps its statistics."""
    network = training.network
    network.train(training.objective.trains == "all")
    if training.recipe.statistics == "frozen":
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def head_of_classes(network: nn.Module) -> nn.Module:
    """The last layer with weights, which gives the logits."""
    heads = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not heads:
        raise UserError(
            f"{type(network).__name__} has no last linear layer to train alone: "
            "choose another --objective than dfr"
        )
    return heads[-1]


def _is_plain(value: Any) -> bool:
    """Not the functions that a schedule was made with."""
    return isinstance(value, int | float | list | dict | bool | str) or value is None

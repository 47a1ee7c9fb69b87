"""Owns the one training loop: steps, epochs, early stopping, and going on after an interruption.

Every source of chance is seeded anew at each epoch, so on the CPU a run that was interrupted ends
with the weights of one that was not. Knows nothing of texts, files of data or entities: what a dev
F1 is, the caller says.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from serve.encoding import Encoder
from serve.errors import TaggingError
from train.collate import IGNORE_INDEX, LabelledWindow, collate, group_by_length
from train.config import TrainConfig
from train.device import autocast
from train.optimizer import learning_rate_at, make_optimizer
from train.state import (
    Epoch,
    TrainingState,
    Weights,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
)

MAX_NORM = 1.0
"""Gradients are scaled down to this L2 norm."""

DEFAULT_STEPS = 400
"""Steps a run takes unless told its epochs: a small corpus is read more often than a large one."""
MIN_EPOCHS, MAX_EPOCHS = 4, 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a run keeps its state and how it knows it for its own.

    Attributes:
        path: The state's file.
        run: Identifies settings, data and base model.
    """

    path: Path
    run: str


class Fit:
    """A model on its way through the epochs."""

    def __init__(
        self,
        model: nn.Module,
        windows: Sequence[LabelledWindow],
        encoder: Encoder,
        score_dev: Callable[[], float],
        config: TrainConfig,
    ) -> None:
        """Take what does not change from epoch to epoch.

        Args:
            model: A Hugging Face token classifier, on its device; trained in place.
            windows: What to train on.
            encoder: Pads batches as serving does.
            score_dev: Returns the model's F1 on the dev lines, in [0, 1].
            config: The settings.
        """
        self._model = model
        self._windows = windows
        self._encoder = encoder
        self._score_dev = score_dev
        self._config = config
        self._optimizer = make_optimizer(model)
        self._num_epochs = config.epochs or default_epochs(self._steps_per_epoch)
        self._device = next(model.parameters()).device
        self._trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._history: tuple[Epoch, ...] = ()
        self._best: Weights = {}

    def run(self, resume: Resume) -> tuple[Epoch, ...]:
        """Train until the last epoch or until dev F1 stops rising; leave the best weights.

        Returns:
            All epochs, those before an interruption too.

        Raises:
            CheckpointError: If there is a state to go on with that is not this run's.
            TaggingError: If the loss is no longer finite.
        """
        if self._config.resume:
            self._restore(load_state(resume.path, resume.run))
        with tqdm(
            total=self._num_steps,
            initial=len(self._history) * self._steps_per_epoch,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        ) as bar:
            while not self._is_done():
                self._one_epoch(bar)
                save_state(resume.path, self._state(resume.run))
        self._load(self._best)
        if best_epoch(self._history).dev_f1 == 0:
            logger.warning(
                "warning: after %d epochs the model finds no entity of the dev lines (F1 0); "
                "give more lines, or raise --epochs or --learning-rate",
                len(self._history),
            )
        return self._history

    @property
    def _steps_per_epoch(self) -> int:
        return -(-len(self._windows) // self._config.batch_size)

    @property
    def _num_steps(self) -> int:
        return self._steps_per_epoch * self._num_epochs

    def _is_done(self) -> bool:
        if not self._history:
            return False
        # 0 until a dev F1 is above 0: patience is for those who have something to lose.
        since_best = len(self._history) - best_epoch(self._history).number
        return len(self._history) >= self._num_epochs or since_best >= self._config.patience

    def _one_epoch(self, bar: tqdm[Never]) -> None:
        number = len(self._history) + 1
        generator = torch.Generator().manual_seed(self._config.seed * 1000 + number)
        torch.manual_seed(self._config.seed * 1000 + number)  # dropout
        lengths = [len(window.tag_ids) for window in self._windows]
        step = (number - 1) * self._steps_per_epoch
        total, num_trained = 0.0, 0
        last_f1 = f"{self._history[-1].dev_f1:.4f}" if self._history else "none yet"
        self._model.train()
        for rows in group_by_length(lengths, self._config.batch_size, generator):
            loss, count = self._step([self._windows[row] for row in rows], step)
            total, num_trained, step = total + loss * count, num_trained + count, step + 1
            bar.update()
            loss_so_far = f"{total / num_trained:.4f}"
            bar.set_postfix(epoch=number, loss=loss_so_far, dev_f1=last_f1, refresh=False)
        if not math.isfinite(total):
            raise TaggingError(
                f"epoch {number}: expected a finite loss, got {total}; lower --learning-rate"
            )
        epoch = Epoch(number, total / num_trained, self._score_dev())
        self._history = (*self._history, epoch)
        if best_epoch(self._history) is epoch:
            self._best = {n: p.detach().clone() for n, p in self._trained.items()}
        with bar.external_write_mode(file=sys.stderr):
            logger.info("epoch %d: loss %.4f, dev F1 %.4f", number, epoch.loss, epoch.dev_f1)

    def _step(self, windows: Sequence[LabelledWindow], step: int) -> tuple[float, int]:
        """Train on one batch; return its mean loss and the number of tokens trained."""
        batch = collate(windows, self._encoder)
        tag_ids = batch.tag_ids.to(self._device)
        with autocast(self._device):
            logits = self._model(
                input_ids=batch.input_ids.to(self._device),
                attention_mask=batch.attention_mask.to(self._device),
            ).logits
        loss = cross_entropy(logits.float().mT, tag_ids, ignore_index=IGNORE_INDEX)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._trained.values(), MAX_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(step, self._num_steps, self._config.learning_rate)
        self._optimizer.step()
        return loss.item(), int((tag_ids != IGNORE_INDEX).sum())

    def _state(self, run: str) -> TrainingState:
        weights = {name: parameter.detach() for name, parameter in self._trained.items()}
        optimizer = optimizer_tensors(self._optimizer)
        return TrainingState(run, self._history, weights, self._best, optimizer)

    def _restore(self, state: TrainingState | None) -> None:
        if state is None:
            logger.warning("warning: nothing to resume: starting from the first epoch")
            return
        self._history, self._best = state.history, state.best
        self._load(state.weights)
        restore_optimizer(self._optimizer, state.optimizer)
        logger.info("resuming after epoch %d", len(self._history))

    def _load(self, weights: Weights) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(weights[name])


def default_epochs(steps_per_epoch: int) -> int:
    """Return how often a corpus is read: about `DEFAULT_STEPS` in all, within bounds."""
    return min(max(math.ceil(DEFAULT_STEPS / steps_per_epoch), MIN_EPOCHS), MAX_EPOCHS)


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch of the highest dev F1, the first of equals; the last one while all are 0.

    A model that finds nothing yet is still learning: its first epoch is no better than its last.
    """
    best = max(history, key=lambda epoch: epoch.dev_f1)
    return best if best.dev_f1 > 0 else history[-1]

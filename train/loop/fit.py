"""Owns the one training loop: steps, epochs, early stopping, and going on after an interruption.

Every source of chance is seeded anew at each step, so on the CPU a run that was interrupted, at any
moment, ends with the weights of one that was not. A step divides its loss by the tokens that train
in its whole batch, so it is the same step in however many parts and processes it is computed. Knows
nothing of texts, files of data or entities: what is trained, and how good it is, the task says.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from serve.errors import CheckpointError, TaggingError
from train.loop.device import autocast, number_format
from train.loop.interrupts import held
from train.loop.optimizer import set_rate
from train.loop.plan import AnyBatch, Plan, Task
from train.loop.processes import Processes, without_sync
from train.loop.progress import Progress
from train.loop.schedule import rate_at
from train.loop.state import (
    Epoch,
    TrainingState,
    Underway,
    Weights,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    set_aside,
)

MAX_NORM = 1.0
"""Gradients are scaled down to this L2 norm."""

logger = logging.getLogger(__name__)


class Fit(Generic[AnyBatch]):
    """A model on its way through the epochs."""

    def __init__(
        self, task: Task[AnyBatch], plan: Plan, processes: Processes, progress: Progress
    ) -> None:
        """Take a task whose learner is on the processes' device.

        Raises:
            TaggingError: If the device does not know the number format.
        """
        self._task = task
        self._plan = plan
        self._config = plan.config
        self._processes = processes
        self._progress = progress
        self._dtype = number_format(plan.config.arithmetic, processes.device)
        self._scaler = GradScaler(processes.device.type, enabled=self._dtype == torch.float16)
        self._learner = processes.joined(task.learner)
        self._trained = {n: p for n, p in task.learner.named_parameters() if p.requires_grad}
        self._steps_per_epoch = len(task.batches(1))
        self._num_steps = self._steps_per_epoch * plan.num_epochs
        self._history: tuple[Epoch, ...] = ()
        self._best: Weights = {}
        self._underway = Underway()
        self._loss = torch.zeros((), dtype=torch.float64, device=processes.device)
        self._saved_at = time.monotonic()
        self._num_saved = 0
        self._is_at_rest = True

    def run(self) -> tuple[Epoch, ...]:
        """Train until the last epoch or until the score stops rising; leave the best weights.

        Returns:
            All epochs, those before an interruption too.

        Raises:
            CheckpointError: If there is a state to go on with that is not this run's.
            TaggingError: If the loss is no longer finite.
        """
        if self._config.resume:
            self._restore(load_state(self._plan.state, self._plan.run))
        elif self._processes.is_first and (aside := set_aside(self._plan.state)):
            logger.warning(
                "warning: a run that was interrupted left its state, now %s; to go on with it, "
                "move it back to %s and run again with its settings and --resume",
                aside, self._plan.state,
            )  # fmt: skip
        with self._progress.over(self._num_steps, self._num_done), self._saved_if_interrupted():
            while not self._is_done():
                self._one_epoch()
                self._save_if_due()
            self._save_at_end()
        self._load(self._best)
        return self._history

    @property
    def _num_done(self) -> int:
        return len(self._history) * self._steps_per_epoch + self._underway.num_steps

    def _is_done(self) -> bool:
        if not self._history:
            return False
        # 0 until a score is above the floor: patience is for those who have something to lose.
        since_best = len(self._history) - best_epoch(self._history, self._task.floor).number
        return len(self._history) >= self._plan.num_epochs or since_best >= self._config.patience

    def _one_epoch(self) -> None:
        number = len(self._history) + 1
        self._learner.train()
        for rows in self._task.batches(number)[self._underway.num_steps :]:
            rate = self._step(rows, self._num_done)
            self._progress.step(number, self._num_done, self._mean_loss, rate)
            self._save_if_due()
        if not math.isfinite(loss := self._mean_loss()):
            raise TaggingError(
                f"epoch {number}: expected a finite loss, got {loss}; lower --learning-rate"
            )
        score = self._task.score() if self._processes.is_first else 0.0
        epoch = Epoch(number, loss, self._processes.told(score))
        with self._together():
            self._history = (*self._history, epoch)
            self._underway = Underway()
            self._loss.zero_()
            if best_epoch(self._history, self._task.floor) is epoch:
                self._best = {n: p.detach().clone() for n, p in self._trained.items()}
        self._progress.epoch(epoch, self._num_done / self._num_steps)

    def _step(self, rows: Sequence[int], step: int) -> float:
        """Train on one batch; return the learning rate."""
        torch.manual_seed(self._chance(step))
        config, device = self._config, self._processes.device
        # A process that gets nothing goes through the motions on a row, for the others' sake.
        parts = [part for part in self._processes.shares(rows, config.accumulate) if part]
        batches = [self._task.collate(part) for part in parts or [list(rows[:1])]]
        # Counted here: what lies on a GPU is known only when all that it was given to do is done.
        num_trained = self._processes.total(sum(batch.num_trained for batch in batches if parts))
        batches = send_to_device(batches, device, non_blocking=True)
        weight = self._processes.num / num_trained if parts else 0.0
        loss = torch.zeros((), dtype=torch.float64, device=device)
        self._task.optimizer.zero_grad()
        for batch in batches[:-1]:
            with without_sync(self._learner):
                loss += self._backward(batch, weight)
        loss += self._backward(batches[-1], weight)
        rate = config.learning_rate * rate_at(step, self._num_steps, config.schedule, config.warmup)
        with self._together():
            self._update(rate)
            self._loss += self._processes.summed(loss if parts else 0.0 * loss)
            done = self._underway
            self._underway = Underway(done.num_steps + 1, 0.0, done.num_trained + num_trained)
        return rate

    def _backward(self, batch: AnyBatch, weight: float) -> Tensor:
        """Add up the gradients of one part; return its summed loss."""
        with autocast(self._processes.device, self._dtype):
            loss: Tensor = self._learner(batch)
        torch.autograd.backward(self._scaler.scale(loss * weight))
        return loss.detach()

    def _update(self, rate: float) -> None:
        self._scaler.unscale_(self._task.optimizer)
        nn.utils.clip_grad_norm_(self._trained.values(), MAX_NORM)
        set_rate(self._task.optimizer, rate, len(self._history) + 1)
        self._scaler.step(self._task.optimizer)
        self._scaler.update()

    def _mean_loss(self) -> float:
        return self._loss.item() / max(1, self._underway.num_trained)

    def _chance(self, step: int) -> int:
        """Return the seed of a step in this process; below 2**63, as seeds are below 2**32."""
        return (self._config.seed << 30) + (step << 8) + self._processes.index

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Change what belongs together: weights, optimizer and counts, or history and best.

        Ctrl-C waits for the end of the block; what breaks it off all the same leaves nothing that
        could be saved.
        """
        with held():
            self._is_at_rest = False
            yield
            self._is_at_rest = True

    @contextmanager
    def _saved_if_interrupted(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            if self._is_at_rest and self._num_done:
                self._save()
            raise

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= self._config.save_every_s:
            self._save()

    def _save_at_end(self) -> None:
        """Save for what comes after training: it may take longer, and be broken off each time."""
        if self._num_done > self._num_saved and math.isfinite(self._config.save_every_s):
            try:
                self._save()
            except CheckpointError as error:  # the result may fit where four times as much did not
                logger.warning("warning: %s", error)

    def _save(self) -> None:
        if self._processes.is_first:
            save_state(self._plan.state, self._state())
        self._saved_at, self._num_saved = time.monotonic(), self._num_done

    def _state(self) -> TrainingState:
        done = self._underway
        return TrainingState(
            run=self._plan.run,
            history=self._history,
            weights={name: parameter.detach() for name, parameter in self._trained.items()},
            best=self._best,
            optimizer=optimizer_tensors(self._task.optimizer),
            underway=Underway(done.num_steps, self._loss.item(), done.num_trained),
            scaler=self._scaler.state_dict(),
        )

    def _restore(self, state: TrainingState | None) -> None:
        if state is None:
            logger.warning("warning: nothing to resume: starting from the first epoch")
        else:
            self._history, self._best, self._underway = state.history, state.best, state.underway
            self._loss.fill_(state.underway.loss)
            self._load(state.weights)
            restore_optimizer(self._task.optimizer, state.optimizer)
            if state.scaler:
                self._scaler.load_state_dict(dict(state.scaler))
            self._num_saved = self._num_done
            steps = state.underway.num_steps
            logger.info("resuming after epoch %d and %d steps", len(state.history), steps)
        self._processes.wait()  # until all have read it, before the first one writes the next
        if self._processes.total(self._num_done) != self._processes.num * self._num_done:
            raise TaggingError(
                f"{self._plan.state}: expected every process to read one state, got several; "
                "put --output on a disk that all machines share"
            )

    def _load(self, weights: Weights) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(weights[name])


def best_epoch(history: Sequence[Epoch], floor: float = 0.0) -> Epoch:
    """Return the epoch of the highest score, the first of equals; the last while all are at floor.

    A model that finds nothing yet is still learning: its first epoch is no better than its last.
    """
    best = max(history, key=lambda epoch: epoch.score)
    return best if best.score > floor else history[-1]

"""Owns what a user sees of a run: a bar with loss, score and time left, a line an epoch, events.

The bar shows on a terminal only. TensorBoard's events are written where a folder was named.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never

from tqdm import tqdm

from train.loop.state import Epoch

logger = logging.getLogger(__name__)

OnEpoch = Callable[[Epoch, float], None]
"""Takes an epoch, and the share of the run's steps that are done then, in (0, 1]."""


class Progress:
    """Follows one run."""

    def __init__(
        self,
        score_name: str,
        *,
        events: Path | None = None,
        show: Callable[[float], float] = lambda score: score,
        on_epoch: OnEpoch | None = None,
        is_shown: bool = True,
    ) -> None:
        """Take what the score is called, and who wants to hear of the run.

        Args:
            score_name: As it stands before its number.
            show: Makes the score the number that people know.
            events: Folder for TensorBoard's events; None for none.
            on_epoch: Called after each epoch; what it raises ends the run.
            is_shown: Whether this process tells anything at all.
        """
        self._score_name = score_name
        self._show = show
        self._events = events
        self._on_epoch = on_epoch
        self._is_shown = is_shown
        self._bar: tqdm[Never] | None = None
        self._writer: Any = None
        self._last_score = "none yet"

    @contextmanager
    def over(self, num_steps: int, num_done: int) -> Iterator[None]:
        """Follow a run of so many steps, of which some are done."""
        if self._events and self._is_shown:
            from torch.utils.tensorboard import SummaryWriter  # seconds to load

            self._writer = SummaryWriter(str(self._events), purge_step=num_done)
        try:
            with tqdm(
                total=num_steps,
                initial=num_done,
                unit="step",
                disable=None if self._is_shown else True,
                dynamic_ncols=True,
            ) as self._bar:
                yield
        finally:
            if self._writer:
                self._writer.close()

    def step(self, epoch: int, step: int, mean_loss: Callable[[], float], rate: float) -> None:
        """Tell of a step; the loss is asked for only where somebody looks."""
        if self._writer:
            self._writer.add_scalar("loss/train", mean_loss(), step)
            self._writer.add_scalar("learning rate", rate, step)
        if self._bar is not None and self._bar.update():
            shown = {"epoch": epoch, "loss": f"{mean_loss():.4f}"}
            self._bar.set_postfix({**shown, self._score_name: self._last_score}, refresh=False)

    def epoch(self, epoch: Epoch, share: float) -> None:
        """Tell of an epoch, and of the share of the run's steps that are done with it."""
        score = self._show(epoch.score)
        self._last_score = f"{score:.4f}"
        if self._writer:
            self._writer.add_scalar(self._score_name, score, epoch.number)
            self._writer.flush()
        if self._is_shown:
            with tqdm.external_write_mode(file=sys.stderr):
                logger.info(
                    "epoch %d: loss %.4f, %s %.4f",
                    epoch.number, epoch.loss, self._score_name, score,
                )  # fmt: skip
        if self._on_epoch:
            self._on_epoch(epoch, share)

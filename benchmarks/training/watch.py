"""Owns the clock inside a training run: the loop itself runs, and its parts are timed as they pass.

What is left of the whole after making batches, the way forward, the optimizer and the scoring on
dev is the way back: gradients, their norm and their scaling.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from train.loop.plan import AnyBatch, Task

P = ParamSpec("P")
T = TypeVar("T")


class Watch:
    """Times the parts of the runs of one task.

    Attributes:
        seconds: Of each part, summed up.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.seconds: dict[str, float] = defaultdict(float)
        self._started = 0.0

    def over(self, task: Task[AnyBatch]) -> Task[AnyBatch]:
        """Return a task that is timed."""
        task.learner.register_forward_pre_hook(lambda *_: self._start())
        task.learner.register_forward_hook(lambda *_: self._stop("forward"))
        task.optimizer.register_step_pre_hook(lambda *_: self._start())
        task.optimizer.register_step_post_hook(lambda *_: self._stop("optimizer"))
        return replace(
            task,
            collate=self._timed("batches", task.collate),
            score=self._timed("dev F1", task.score),
        )

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _stop(self, part: str) -> None:
        self.seconds[part] += time.perf_counter() - self._started

    def _timed(self, part: str, call: Callable[P, T]) -> Callable[P, T]:
        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            before = time.perf_counter()
            result = call(*args, **kwargs)
            self.seconds[part] += time.perf_counter() - before
            return result

        return timed

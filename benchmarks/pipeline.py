"""Owns how a token-classification pipeline is asked: at its best batch size, by whomever it is run.

Imports neither transformers nor optimum: it serves both, each in its own environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from serve.entities import Entity

BATCH_SIZES = (1, 8, 32, 64)
PROBE_LINES = 64
TASK: Final = "token-classification"
STRATEGY: Final = "first"


class PipelineTagger:
    """A pipeline that tags texts.

    Attributes:
        batch_size: Texts it runs together offline, the fastest of `BATCH_SIZES` on some lines.
    """

    def __init__(self, pipeline: Callable[..., Any], lines: Sequence[str]) -> None:
        """Take a pipeline and probe the batch sizes on some of the lines."""
        # Batched, the pipeline turns the tokenizers' threads off for the whole process, ours
        # included, unless the user has spoken; it tokenizes text by text and loses nothing.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._pipeline = pipeline
        self.batch_size = 1
        self.batch_size = self._best_batch_size(lines[:PROBE_LINES])

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text; turning its answers into ours takes a microsecond."""
        if len(texts) == 1:  # a plain string is its fast way for one text
            return [_entities(self._pipeline(texts[0]))]
        answers = self._pipeline(list(texts), batch_size=self.batch_size)
        return [_entities(answer) for answer in answers]

    def _best_batch_size(self, lines: Sequence[str]) -> int:
        seconds: dict[int, float] = {}
        for _ in range(2):  # the first pass warms up; the better of both counts
            for size in BATCH_SIZES:
                self.batch_size = size
                start = time.perf_counter()
                self.tag(lines)
                seconds[size] = min(time.perf_counter() - start, seconds.get(size, float("inf")))
        return min(seconds, key=seconds.__getitem__)


def _entities(answer: Sequence[Mapping[str, Any]]) -> list[Entity]:
    return [Entity(e["entity_group"], e["start"], e["end"], float(e["score"])) for e in answer]

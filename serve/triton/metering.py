"""Owns what the model counts: texts, characters, tokens, padding, entities, refusals.

Counting is a few additions a batch. Handing a number to Triton takes 14 us (measured on 2.51), as
long as tokenizing a line; so a thread does that once a second, in sums.

From these follow, per second or in all:
    batch fill      texts / (batches x 256)
    padding share   padding / (tokens + padding)
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from serve.encoding import Window
from serve.entities import Entity
from serve.errors import DataError
from serve.triton.portions import AbandonedError

FAMILIES = {
    "requests": "Requests answered.",
    "refusals": "Requests refused, by reason.",
    "texts": "Texts tagged.",
    "characters": "Characters of the texts tagged.",
    "entities": "Entities found, by label.",
    "batches": "Executions of the model, each with the requests that merged.",
    "tokens": "Tokens that the graph ran, special ones included.",
    "padding": "Padding tokens that the graph ran beside them.",
    "seconds": "Time in the model, from texts to entities.",
}
KINDS = {"refusals": "reason", "entities": "label"}
"""What the kinds of a family are called."""
Counts = Mapping[tuple[str, str], float]
_FLUSH_S = 1.0


class Meter:
    """Counts, until somebody takes the sums. Any thread may count or take."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._counts: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._lock = threading.Lock()

    def count_windows(self, windows: Sequence[Window], num_padding: int) -> None:
        """Count windows that ran together, and the padding tokens that ran beside theirs."""
        tokens = sum(len(window.input_ids) for window in windows)
        with self._lock:
            self._counts["tokens", ""] += tokens
            self._counts["padding", ""] += num_padding

    def count_answers(
        self,
        texts: Sequence[str],
        entities: Sequence[Sequence[Entity] | None],
        *,
        num_requests: int,
        seconds: float,
    ) -> None:
        """Count an execution of the model, over all the requests it answered.

        Entities are None of a text that was skipped.
        """
        with self._lock:
            counts = self._counts
            counts["requests", ""] += num_requests
            counts["batches", ""] += 1
            counts["seconds", ""] += seconds
            for text, row in zip(texts, entities, strict=True):
                if row is None:
                    continue
                counts["texts", ""] += 1
                counts["characters", ""] += len(text)
                for entity in row:
                    counts["entities", entity.label] += 1

    def count_refusal(self, reason: str) -> None:
        """Count a request that was refused."""
        with self._lock:
            self._counts["refusals", reason] += 1

    def take(self) -> Counts:
        """Return the sums since the last call, by family and kind."""
        with self._lock:
            taken, self._counts = self._counts, defaultdict(float)
        return taken


class Flusher:
    """Hands a meter's sums on, once a second and at the end."""

    def __init__(self, meter: Meter, give: Callable[[Counts], None]) -> None:
        """Take the meter, and what takes its sums; begin."""
        self._meter, self._give = meter, give
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metering", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what is left, and end."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_FLUSH_S):
            self._give(self._meter.take())
        self._give(self._meter.take())


def reason_of(error: DataError) -> str:
    """Return the reason of a refusal as one of few words; what callers send has no part in it."""
    if isinstance(error, AbandonedError):
        return "abandoned"
    message = str(error)
    if "expected at most" in message:
        return "too_long"
    return "not_unicode" if "UTF-8" in message or "Unicode" in message else "other"

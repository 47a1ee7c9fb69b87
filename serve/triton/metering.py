"""Owns what the model counts: texts, characters, tokens, padding, entities, refusals.

Work is counted that callers ask for; tokens and padding are all that the graph ran, canaries' too,
for by them the supervisor sees that work moves on. Triton's warm-up, a text without characters, is
as any caller's.

Counting is a few additions a batch. Handing a number to Triton takes 14 us (measured on 2.51), as
long as tokenizing a line; so a thread does that five times a second, in sums: often enough for what
grew in two seconds to be right to a tenth.

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
from serve.errors import Refusal

FAMILIES = {
    "requests": "Callers' requests answered.",
    "refusals": "Requests refused or failed, by reason.",
    "texts": "Texts tagged for callers.",
    "characters": "Characters of the texts tagged.",
    "entities": "Entities found, by label.",
    "batches": "Executions of the model for callers, each with the requests that merged.",
    "tokens": "Tokens that the graph ran, special ones and canaries' included.",
    "padding": "Padding tokens that the graph ran beside them.",
    "seconds": "Time of these executions, from texts to entities.",
}
KINDS = {"refusals": "reason", "entities": "label"}
"""What the kinds of a family are called."""
Counts = Mapping[tuple[str, str], float]
_FLUSH_S = 0.2


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
        """Count an execution of the model, over the callers' requests that it answered.

        Entities are None of a text that was skipped; where all were, nothing was executed.
        """
        answered = [(t, row) for t, row in zip(texts, entities, strict=True) if row is not None]
        if not answered:
            return
        with self._lock:
            counts = self._counts
            counts["requests", ""] += num_requests
            counts["batches", ""] += 1
            counts["seconds", ""] += seconds
            for text, row in answered:
                counts["texts", ""] += 1
                counts["characters", ""] += len(text)
                for entity in row:
                    counts["entities", entity.label] += 1

    def count_refusal(self, reason: Refusal) -> None:
        """Count a request that was refused, or failed."""
        with self._lock:
            self._counts["refusals", reason] += 1

    def take(self) -> Counts:
        """Return the sums since the last call, by family and kind."""
        with self._lock:
            taken, self._counts = self._counts, defaultdict(float)
        return taken


class Flusher:
    """Hands a meter's sums on, again and again and at the end."""

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

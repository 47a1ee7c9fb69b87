"""Owns the figures of a client: plain numbers, counted on the way and read whenever somebody asks.

Counting costs a request about a microsecond; nothing needs to be installed for it. See
`serve.client.metrics` for Prometheus.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from serve.client.requests import Request
from serve.triton.names import ENTITIES

DURATION_BOUNDS_S = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05),
    *(0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0),
)
"""Upper bounds of the histogram; as fine as the promised latencies (1 and 3 ms) need."""
MAX_LABELS = 256
"""A broken server's labels must not fill the memory; beyond these, all count as one."""
OTHER_LABELS = "(other)"
CANCELLED = "cancelled"
"""Reason of a request that its caller gave up: a task was cancelled, or a signal interrupted it."""
UNSENT = "unsent"
"""Reason of a request that was never sent, for a text over the cap or none that is valid."""


@dataclass(slots=True, eq=False)
class Stats:
    """What a client did since it was made; whoever counts holds the client's lock.

    Attributes:
        num_requests: Requests, answered or not.
        num_texts: Texts answered.
        num_chars: Characters of the texts answered.
        failures: Requests given up, by a `Failure` or as `CANCELLED` or `UNSENT`.
        failed_tries: Tries without an answer, by reason.
        retries: Retries made, by the reason of the try before.
        num_shed: Requests not sent because no endpoint had room.
        num_probes: Probes sent.
        num_ejected: Times an endpoint was left out, by its address.
        entities: Entities found, by label.
        durations: Requests answered in up to each of `DURATION_BOUNDS_S`, and one for longer ones;
            not cumulated. Shape: (bounds + 1,)
        total_s: Time of all requests answered.
    """

    num_requests: int = 0
    num_texts: int = 0
    num_chars: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    failed_tries: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    num_shed: int = 0
    num_probes: int = 0
    num_ejected: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS_S) + 1))
    total_s: float = 0.0

    def count_answer(self, request: Request, rows: Iterable[Any], duration_s: float) -> None:
        """Count a request that was answered, and the entities in its answer."""
        self.num_texts += len(request.texts)
        self.num_chars += request.num_chars
        self.durations[bisect_left(DURATION_BOUNDS_S, duration_s)] += 1
        self.total_s += duration_s
        if request.output == ENTITIES:
            counts = self.entities
            for row in rows:
                for entity in row:
                    is_known = entity.label in counts or len(counts) < MAX_LABELS
                    counts[entity.label if is_known else OTHER_LABELS] += 1

    def add(self, other: Stats) -> None:
        """Add the figures of another client."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, list):
                mine[:] = map(operator.add, mine, theirs)
            else:
                setattr(self, each.name, mine + theirs)

"""Owns what happened between two looks at a supervisor: requests and texts a second, batch fill."""

from __future__ import annotations

from dataclasses import dataclass

from serve.supervisor.figures import Figures
from serve.supervisor.status import ReplicaStatus, SupervisorStatus
from serve.triton.names import MAX_BATCH_SIZE


@dataclass(frozen=True, slots=True)
class Rates:
    """What a replica did between two looks.

    Attributes:
        requests_per_s: Requests of callers answered.
        failures_per_s: Requests refused or failed.
        texts_per_s: Texts tagged for callers.
        texts_per_batch: Texts that ran together, on average; None when nothing ran.
        batch_fill: The same as a share of the largest batch.
    """

    requests_per_s: float
    failures_per_s: float
    texts_per_s: float
    texts_per_batch: float | None
    batch_fill: float | None


def rates(before: SupervisorStatus, after: SupervisorStatus) -> dict[int, Rates]:
    """Return what each replica did, but for those whose figures began anew or are not known."""
    old = {replica.number: replica for replica in before.replicas}
    found = {
        replica.number: _rates(old[replica.number], replica)
        for replica in after.replicas
        if replica.number in old
    }
    return {number: rate for number, rate in found.items() if rate}


def _rates(before: ReplicaStatus, after: ReplicaStatus) -> Rates | None:
    if before.figures is None or after.figures is None or before.pid != after.pid:
        return None
    seconds = after.figures.at - before.figures.at
    if seconds <= 0:
        return None
    grown = _grown(before.figures, after.figures)
    if min(grown.num_requests, grown.num_failures, grown.num_texts, grown.num_batches) < 0:
        return None  # a version was unloaded: Triton drops its own figures of it, not the model's
    texts_per_batch = grown.num_texts / grown.num_batches if grown.num_batches else None
    return Rates(
        requests_per_s=grown.num_requests / seconds,
        failures_per_s=grown.num_failures / seconds,
        texts_per_s=grown.num_texts / seconds,
        texts_per_batch=texts_per_batch,
        batch_fill=None if texts_per_batch is None else texts_per_batch / MAX_BATCH_SIZE,
    )


def _grown(before: Figures, after: Figures) -> Figures:
    return Figures(
        num_requests=after.num_requests - before.num_requests,
        num_failures=after.num_failures - before.num_failures,
        num_texts=after.num_texts - before.num_texts,
        num_batches=after.num_batches - before.num_batches,
    )

"""Owns the words between the policy and whoever carries it out: what to do, and what came of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from serve.client.endpoints import Endpoint
from serve.triton.failures import Failed


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request to an endpoint, and say what came of it."""

    endpoint: Endpoint
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Send a probe to an endpoint, and do not wait; `Dispatcher.probed` takes what comes of it."""

    endpoint: Endpoint
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A proper answer.

    Attributes:
        value: For whoever asked.
        labels: Of the entities in it, to be counted.
    """

    value: Any
    labels: Sequence[str] = ()


Step = Try | Pause | Probe
Outcome = Answered | Failed
Course = Generator[Step, Outcome | None, Any]
"""Yields steps; is sent the outcome of a try, and None after anything else; returns the value."""

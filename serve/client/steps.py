"""Owns the words between the policy and whoever carries it out: what to do, and what came of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from serve.client.endpoints import Endpoint
from serve.triton.failures import Failed


class Try(NamedTuple):
    """Send the request to a version of an endpoint's model, and say what came of it.

    The version is empty for whichever there is.
    """

    endpoint: Endpoint
    timeout_s: float
    version: str = ""


class Ask(NamedTuple):
    """Ask an endpoint which versions there are, and say what came of it."""

    endpoint: Endpoint
    timeout_s: float


class Refresh(NamedTuple):
    """Ask that, and do not wait; `Dispatcher.learned` takes what comes of it."""

    endpoint: Endpoint
    timeout_s: float


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Probe(NamedTuple):
    """Send a probe to a version of an endpoint's model, and do not wait.

    `Dispatcher.probed` takes what comes of it. The version is the one that requests ask for: an
    endpoint that lacks it would fail every one of them.
    """

    endpoint: Endpoint
    timeout_s: float
    version: str = ""


class Answered(NamedTuple):
    """A proper answer.

    Attributes:
        rows: What was wanted of each text: its entities, the graph, or the traffic.
        version: The model's version.
    """

    rows: list[Any]
    version: str


Step = Try | Ask | Pause | Probe | Refresh
Outcome = Answered | Failed
Course = Generator[Step, Outcome | None, Answered]
"""Yields steps; is sent the outcome of a try, and None after anything else; returns the answer."""

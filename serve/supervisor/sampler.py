"""Owns the look at each replica from outside, once a second: use, versions, figures, its log.

It runs in a thread of its own, because a server that hangs lets it wait; nothing that is seen here
decides between life and death but growth beyond all measure, and that has time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from serve.errors import ServerError
from serve.repository import traffic_of
from serve.supervisor.figures import Figures
from serve.supervisor.resources import Usage, usage
from serve.supervisor.scrape import fetch, read_figures
from serve.supervisor.telling import Troubles
from serve.triton.logs import cut_log
from serve.triton.names import MODEL, GraphJson, ModelVersion
from serve.triton.probe import Probe
from serve.triton.processes import processes_of
from serve.triton.state import ServerState

_TIMEOUT_S = 0.5
_MAX_AT_ONCE = 16
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of a server.

    Attributes:
        pids: Its processes.
        usage: What they use.
        versions: Every version of its models; empty if it did not say.
        graph: The graph that answers; None if it did not say.
        metrics: Its metrics as text; empty if it gave none.
        figures: The same as numbers.
        served: The versions that callers ask for, as its repository says.
    """

    pids: tuple[int, ...]
    usage: Usage
    versions: tuple[ModelVersion, ...] = ()
    graph: GraphJson | None = None
    metrics: str = ""
    figures: Figures | None = None
    served: tuple[int, ...] = ()

    @property
    def ready(self) -> frozenset[str]:
        """The tagger's versions that are loaded; none if the server did not say."""
        listed = (v for v in self.versions if v.model == MODEL)
        return frozenset(v.version for v in listed if v.state == "READY")


class Sampler:
    """Looks at servers in the background; `samples` is the latest by the servers' prefix."""

    def __init__(self, servers: Callable[[], Iterable[ServerState]], interval_s: float) -> None:
        """Take who is to be looked at, asked anew each time, and how often."""
        self.samples: dict[str, Sample] = {}
        self._servers, self._interval_s = servers, interval_s
        self._troubles = Troubles("sample_failed", "server")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the look that is under way."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        # Side by side: one after the other, many busy servers would seem not to move on.
        with ThreadPoolExecutor(_MAX_AT_ONCE, "sample") as pool:
            while not self._is_over.wait(self._interval_s):
                with self._troubles.borne("all servers"):  # no thread to be had just now, say
                    seen = pool.map(self._sample, list(self._servers()))
                    self.samples = {prefix: sample for prefix, sample in seen if sample}

    def _sample(self, state: ServerState) -> tuple[str, Sample | None]:
        seen = None
        with self._troubles.borne(state.url), _noted(state):
            cut_log(Path(state.log))
            seen = sample(state)
        return state.prefix, seen


def sample(state: ServerState) -> Sample:
    """Look at a server; what it does not answer in time stays empty.

    Each question stands alone: under a load that makes the model late, its graph is not told in
    time, and figures are wanted most.
    """
    versions: tuple[ModelVersion, ...] = ()
    graph, metrics, figures = None, "", None
    with _noted(state):
        metrics = fetch(state.metrics_url, timeout_s=_TIMEOUT_S)
        figures = read_figures(metrics, at=time.time())
    with _noted(state), Probe(state, timeout_s=_TIMEOUT_S, name="sample") as probe:
        asked = probe.send_graph()
        with _noted(state):
            versions = tuple(probe.admin().model_versions())
        graph = asked.result()
    # After the versions: what one of them took that is ready by now is part of it.
    pids = tuple(processes_of(state.prefix))
    used = usage(state.prefix, pids, state.pid)
    served: tuple[int, ...] = ()
    with _noted(state):
        served = traffic_of(Path(state.repository)).served
    return Sample(pids, used, versions, graph, metrics if figures else "", figures, served)


@contextlib.contextmanager
def _noted(state: ServerState) -> Iterator[None]:
    """Go on without what a server does not tell."""
    try:
        yield
    except (ServerError, OSError) as error:  # the latter for want of descriptors, say
        logger.debug("%s: %s", state.url, error)

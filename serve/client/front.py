"""Owns what the clients for threads and for asyncio have in common: what they are made of."""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from serve.client.beside import Beside
from serve.client.dispatch import Dispatcher
from serve.client.policy import Policy
from serve.client.requests import Request, Requests, check_sendable
from serve.client.route import Route
from serve.client.steps import Outcome, Probe, Refresh
from serve.errors import DataError, ServerError, needing
from serve.limits import check_name
from serve.triton.failures import CLOSED_CLIENT
from serve.triton.forking import check_process
from serve.triton.names import ENTITIES, TRAFFIC

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector


DEFAULT = Policy()
PROBE_TEXT = "a"
"""A word, so that the model runs."""
_ADDRESS = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")


class Front:
    """The parts of a client, but for what carries its requests.

    Attributes:
        urls: Addresses of the endpoints.
        policy: The settings.
        dispatcher: What its requests share: the endpoints and the figures, for metrics.
    """

    _hears_in_threads = True

    def __init__(self, urls: str | Sequence[str], policy: Policy, model: str) -> None:
        """Check the addresses and the name."""
        self.urls = addresses(urls)
        self.policy = policy
        self._model = check_name(model, "model name")
        self._requests = Requests()
        self._route = Route(random.random())
        self.dispatcher = Dispatcher(self.urls, policy, route=self._route)
        self._beside = Beside(is_waited_for=self._hears_in_threads)
        self._pid, self._taking_over = os.getpid(), threading.Lock()
        self._is_closed = False

    def _make(self, texts: Sequence[str], output: str, *, is_patient: bool = False) -> Request:
        """Return a caller's request under a number of its own.

        Raises:
            ServerError: If the client was closed, or this process forked while the client had
                requests under way.
        """
        if self._is_closed:
            raise ServerError(CLOSED_CLIENT)
        if os.getpid() != self._pid:
            with self._taking_over:  # by one of the child's threads; the others find it done
                self._take_over()
        return self._requests.make(texts, output, is_patient=is_patient)

    def _take_over(self) -> None:
        """Make the client this process's own, after a fork.

        Two processes that number alike could take each other's answers for theirs, and those that
        drew alike would all be on one side of a trial.
        """
        if os.getpid() == self._pid:
            return
        check_process()
        if not (self.dispatcher.take_over() and self._beside.is_idle()):
            raise ServerError(
                "expected a client of this process, got one that had requests under way when "
                f"process {self._pid} was forked, which gRPC does not survive; make a client in "
                "each process, or start processes with spawn"
            )
        self._route.redraw(random.random())
        self._requests = Requests()
        self._pid = os.getpid()  # last: from now on nobody waits

    def _aside(self, step: Probe | Refresh) -> tuple[Request, Callable[[Outcome], None]]:
        """Return what is sent beside the requests, and who takes what comes of it."""
        if isinstance(step, Refresh):
            request, then = self._question(), self.dispatcher.learned
        else:
            request = self._requests.make([PROBE_TEXT], ENTITIES, is_own=True)
            then = partial(self.dispatcher.probed, step.endpoint)
        return request, self._beside.heard(then, step.timeout_s)

    def _check(self, text: str, index: int) -> None:
        """Refuse what must not be sent, and count it; raises as `check_sendable`."""
        try:
            check_sendable(text, index)
        except (DataError, TypeError):
            if os.getpid() == self._pid:  # a fork may have caught the lock taken
                self.dispatcher.count_unsent()
            raise

    def _question(self) -> Request:
        """Return the question which versions there are."""
        return self._requests.make([""], TRAFFIC)


def addresses(urls: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of endpoints, given one by one or in a text as `serve start` prints it.

    Raises:
        ValueError: If there is none, one is not `host:port`, or two are the same.
    """
    parts = tuple(urls.split(",") if isinstance(urls, str) else urls)
    for url in parts:
        if not _ADDRESS.fullmatch(url) or not 0 < int(url.rpartition(":")[2]) < 65_536:
            raise ValueError(f"expected an address as host:port, got {url!r:.80}")
    if not parts or len(set(parts)) < len(parts):
        raise ValueError(f"expected one or more addresses, each once, got {list(parts)!r:.200}")
    return parts


def export_metrics(*clients: Front, registry: CollectorRegistry | None = None) -> Collector:
    """Let Prometheus see what clients do, as `linetag_client_*`; all of a program in one call.

        export_metrics(tagger)
        prometheus_client.start_http_server(9400, addr="127.0.0.1")

    Args:
        clients: Their figures are added.
        registry: Where to register; None for prometheus_client's own.

    Returns:
        What was registered, for `registry.unregister`.

    Raises:
        ServerError: If the package prometheus_client is not installed.
    """
    with needing("the package prometheus_client", "metrics"):
        from prometheus_client import REGISTRY

        from serve.client.metrics import ClientCollector
    collector = ClientCollector([client.dispatcher for client in clients])
    (registry or REGISTRY).register(collector)
    return collector

"""Owns what the clients for threads and for asyncio have in common: what they are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serve.client.dispatch import Dispatcher
from serve.client.policy import Policy
from serve.client.questions import Question, Questions
from serve.limits import check_name
from serve.triton import missing_package
from serve.triton.names import ENTITIES

if TYPE_CHECKING:
    from serve.triton.rpc import Connection
    from serve.triton.tls import TlsFiles

DEFAULT = Policy()
PROBE_TEXT = "a"
"""A word, so that the model runs."""
_ADDRESS = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")


class Front:
    """The parts of a client, but for what carries its questions.

    Attributes:
        urls: Addresses of the endpoints.
        policy: The settings.
    """

    def __init__(self, urls: str | Sequence[str], policy: Policy, model: str) -> None:
        """Check the addresses and the name."""
        self.urls = addresses(urls)
        self.policy = policy
        self._model = check_name(model, "model name")
        self._questions = Questions()
        self._dispatcher = Dispatcher(self.urls, policy)

    @property
    def dispatcher(self) -> Dispatcher:
        """What its requests share: the endpoints and the figures, for metrics."""
        return self._dispatcher

    def _probe(self) -> Question:
        return self._questions.ask([PROBE_TEXT], ENTITIES)


def addresses(urls: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of endpoints.

    Raises:
        ValueError: If there is none, one is not `host:port`, or two are the same.
    """
    parts = (urls,) if isinstance(urls, str) else tuple(urls)
    for url in parts:
        if not _ADDRESS.fullmatch(url) or not 0 < int(url.rpartition(":")[2]) < 65_536:
            raise ValueError(f"expected an address as host:port, got {url!r:.80}")
    if not parts or len(set(parts)) < len(parts):
        raise ValueError(f"expected one or more addresses, each once, got {list(parts)!r:.200}")
    return parts


def connect(url: str, *, timeout_s: float, tls: TlsFiles | None = None) -> Connection:
    """Return a connection to one Triton, for what is no tagging.

    Raises:
        ServerError: If the package tritonclient is not installed, or a file of TLS unreadable.
    """
    try:
        from serve.triton.rpc import Connection
    except ImportError as error:
        raise missing_package(error) from error
    return Connection(url, timeout_s=timeout_s, tls=tls)

"""Owns the tagger on the other side of the network: the embedded tagger's method, Triton's answers.

Policy:
* Texts are checked here, as the embedded tagger checks them, before anything is sent.
* Many texts go in requests of bounded size, one after the other: the server's memory and the time
  of a request stay bounded, and other callers get their turn in between.
* Every request has a deadline. There are no retries: a caller knows better than we do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serve.entities import Entity, EntityJson
from serve.errors import ServerError
from serve.limits import check_text
from serve.triton import missing_package
from serve.triton.names import GraphJson

if TYPE_CHECKING:
    from serve.triton.rpc import Connection

MAX_REQUEST_TEXTS = 64
MAX_REQUEST_CHARS = 8_192
"""Characters of a request, but for a single longer text: some 2,000 tokens of model time."""


class TritonTagger:
    """Tags texts with the model of a Triton server. Several threads may call it at once.

    Attributes:
        url: Address of the server's gRPC, `host:port`.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        """Take a server's address; nothing is sent yet.

        Args:
            url: Address of the server's gRPC, `host:port`.
            timeout_s: Deadline of each request.

        Raises:
            ServerError: If the package tritonclient is not installed.
        """
        self.url = url
        self._connection = connect(url, timeout_s=timeout_s)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode; naming its index.
            ServerError: If the server is down, or does not answer in time or as agreed.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("expected a list of strings, got something else in `texts`")
        for index, text in enumerate(texts):
            check_text(text, index)
        rows = (row for request in _requests(texts) for row in self._connection.tag(request))
        return [self._entities(row) for row in rows]

    def _entities(self, row: list[EntityJson]) -> list[Entity]:
        try:
            return [Entity(**entity) for entity in row]
        except TypeError as error:  # no list of objects, or not with these keys
            raise ServerError(
                f"{self.url}: expected entities with label, start, end and score, got "
                f"{row!r:.80}; serve with the version that this client is of"
            ) from error

    def graph(self) -> GraphJson:
        """Return which graph the server runs, and where, as its model says.

        Raises:
            ServerError: If the server is down, or does not answer in time or as agreed.
        """
        return self._connection.graph()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the tagger; leaving closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()


def connect(url: str, *, timeout_s: float) -> Connection:
    """Return a connection to a Triton.

    Raises:
        ServerError: If the package tritonclient is not installed.
    """
    try:
        from serve.triton.rpc import Connection
    except ImportError as error:
        raise missing_package(error) from error
    return Connection(url, timeout_s=timeout_s)


def _requests(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut texts into runs of bounded number and length, at least one text each."""
    first = num_chars = 0
    for index, text in enumerate(texts):
        num_chars += len(text)
        if index > first and (index - first >= MAX_REQUEST_TEXTS or num_chars > MAX_REQUEST_CHARS):
            yield texts[first:index]
            first, num_chars = index, len(text)
    if first < len(texts):
        yield texts[first:]

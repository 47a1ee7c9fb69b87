"""Owns questions to one server about itself: who it is, what it has, whether its model answers.

Unlike a client's, these calls know no policy, no second try and no other server.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.errors import AnswerError, ServerError
from serve.triton.admin import Admin, read_admin_key
from serve.triton.channels import method, open_channel
from serve.triton.messages import Reply, read_graph, read_response, version_part, write_request
from serve.triton.names import ENTITIES, GRAPH, OWN_ID, GraphJson
from serve.triton.state import ServerState
from serve.triton.tls import TlsFiles

T = TypeVar("T")
_NOT_READY = "is not at ready state"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a server says it is.

    Attributes:
        name: Its `--id`.
        triton: Triton's version, such as "2.51.0".
    """

    name: str
    triton: str


class Flight(Generic[T]):
    """A question on its way; after the time-out at the latest it is done."""

    def __init__(self, url: str, send: Callable[[], Any], read: Callable[[Any], T]) -> None:
        """Take what starts the call, as gRPC's future, and what makes a value of the response."""
        self._url, self._read = url, read
        self._sent, self._landed = time.monotonic(), 0.0
        self._future = send()
        self._future.add_done_callback(self._land)

    def is_done(self) -> bool:
        """Return whether the answer, or a failure, is there."""
        return bool(self._future.done())

    def has_failed(self) -> bool:
        """Return whether there will be no answer."""
        return self.is_done() and self._future.code() is not grpc.StatusCode.OK

    def is_silent(self) -> bool:
        """Return whether time ran out without an answer."""
        return self.is_done() and self._future.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def is_unserved(self) -> bool:
        """Return whether the server says that it does not serve what was asked for."""
        if not self.has_failed():
            return False
        details = str(self._future.details())
        return self._future.code() is grpc.StatusCode.NOT_FOUND or _NOT_READY in details

    @property
    def latency_s(self) -> float:
        """How long the answer took."""
        return (self._landed or time.monotonic()) - self._sent  # it may be done, and not yet noted

    def result(self, what: str = "an answer") -> T:
        """Return the answer, waiting for it.

        Args:
            what: What is expected, in words.

        Raises:
            ServerError: If there is none in time, or not as agreed.
        """
        try:
            return self._read(self._future.result())
        except grpc.RpcError as error:
            code, details = error.code(), str(error.details()).split("\n")[0]
            message = f"{self._url}: expected {what}, got {code.name}: {details}"
            raise ServerError(message) from error
        except AnswerError as error:
            raise AnswerError(f"{self._url}: {error}") from error

    def _land(self, future: object) -> None:
        self._landed = time.monotonic()


class Probe:
    """A connection to a server of this machine, from the note of its state."""

    def __init__(self, state: ServerState, *, timeout_s: float, name: str = "canary") -> None:
        """Take a server's note; the connection is made with the first call.

        Args:
            state: The server's.
            timeout_s: How long an answer may take, unless a call says otherwise.
            name: What its requests are for; their ids begin with it, for whoever reads the log.

        Raises:
            ServerError: If a certificate to reach it with cannot be read.
        """
        self.state = state
        self._timeout_s = timeout_s
        tls = TlsFiles.from_names(state.tls)
        self._channel = open_channel(state.url, tls, is_local=True)
        self._prefix, self._numbers = f"{OWN_ID}{name}-", itertools.count()

    def send_identity(self) -> Flight[Identity]:
        """Ask who the server is."""
        request, response = pb.ServerMetadataRequest(), pb.ServerMetadataResponse
        return self._send("ServerMetadata", request, response, _read_identity)

    def send(
        self, texts: Sequence[str], version: str = "", *, timeout_s: float | None = None
    ) -> Flight[Reply]:
        """Ask a version of the model, or whichever, for the entities of texts in one request.

        Args:
            texts: The texts.
            version: Which version; empty for whichever Triton chooses.
            timeout_s: How long the answer may take; None for the probe's time.
        """
        return self._ask(texts, ENTITIES, lambda reply: reply, version, timeout_s)

    def send_graph(self) -> Flight[GraphJson]:
        """Ask the model which graph answers."""
        return self._ask([""], GRAPH, lambda reply: read_graph(reply.rows[0]))

    def admin(self) -> Admin:
        """Return the administrator's calls.

        Raises:
            ServerError: If the key cannot be read.
        """
        key = read_admin_key(self.state.folder)
        return Admin(self._channel, key, timeout_s=self._timeout_s)

    def close(self) -> None:
        """Close the connection; what was sent and not answered is cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Return the probe; leaving closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def _ask(
        self,
        texts: Sequence[str],
        output: str,
        read: Callable[[Reply], T],
        version: str = "",
        timeout_s: float | None = None,
    ) -> Flight[T]:
        name = f"{self._prefix}{next(self._numbers)}"
        request = write_request(texts, output, request_id=name)
        request += version_part(version)
        return self._send(
            "ModelInfer",
            request,
            pb.ModelInferResponse,
            lambda response: read(read_response(response, texts, output, request_id=name)),
            timeout_s,
        )

    def _send(
        self,
        name: str,
        request: Any,  # noqa: ANN401
        response: Any,  # noqa: ANN401
        read: Callable[[Any], T],
        timeout_s: float | None = None,
    ) -> Flight[T]:
        call = method(self._channel, name, response)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        return Flight(self.state.url, lambda: call.future(request, timeout=timeout_s), read)


def _read_identity(response: Any) -> Identity:  # noqa: ANN401
    return Identity(str(response.name), str(response.version))

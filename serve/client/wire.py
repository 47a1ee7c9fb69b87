"""Owns carrying requests to the endpoints over gRPC, by threads and by asyncio.

The only module of the client that needs tritonclient; it is imported when a client is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from serve.client.cancellation import is_asked_to_end
from serve.client.interrupts import unlock
from serve.client.requests import Request, read_entities
from serve.client.steps import Answered, Outcome, Try
from serve.client.worker import Worker
from serve.errors import AnswerError
from serve.triton.channels import open_channel, raw_method
from serve.triton.failures import Failed, Failure, classify
from serve.triton.forking import note_closed, note_opened
from serve.triton.messages import (
    read_graph,
    read_response,
    read_traffic,
    version_part,
    write_request,
)
from serve.triton.names import ENTITIES, GRAPH
from serve.triton.tls import TlsFiles

CLOSED = Failed(Failure.CLOSED, "the client was closed")


class Wire:
    """A channel to each endpoint, and the one method that is called there."""

    _package: Any = grpc

    def __init__(self, urls: Sequence[str], *, model: str, tls: TlsFiles | None) -> None:
        """Open the channels; connections are made with the first call.

        Raises:
            ServerError: If a file of TLS is unreadable, or this process may not use gRPC.
        """
        self._model = model
        self._is_closed = False
        self._channels = [open_channel(url, tls, package=self._package) for url in urls]
        self._infer = {
            url: raw_method(channel, "ModelInfer")
            for url, channel in zip(urls, self._channels, strict=True)
        }

    def message(self, request: Request) -> bytes:
        """Return a request as what `send` takes: written once for all tries."""
        return write_request(
            request.texts,
            request.output,
            request_id=request.request_id,
            model=self._model,
        )


class BlockingWire(Wire):
    """Carries the requests of threads."""

    def __init__(self, urls: Sequence[str], *, model: str, tls: TlsFiles | None) -> None:
        """Open the channels."""
        super().__init__(urls, model=model, tls=tls)
        self._workers = {url: Worker() for url in urls}  # each may hang for as long as a try

    def send(self, step: Try, request: Request, message: bytes) -> Outcome:
        """Return what an endpoint makes of a request."""
        asked = message + version_part(step.version)
        try:
            response = self._infer[step.endpoint.url](asked, timeout=step.timeout_s)
            return outcome_of(request, response, step.version)
        except grpc.RpcError as error:
            return CLOSED if self._is_closed else failed(error)
        except ValueError:  # what gRPC says of a closed channel
            if self._is_closed:
                return CLOSED
            raise
        except BaseException as error:
            unlock(error)
            raise

    def start(self, step: Try, request: Request, then: Callable[[Outcome], None]) -> None:
        """Send a request and return; what comes of it goes to `then`, in another thread."""

        def carry() -> None:
            then(self.send(step, request, self.message(request)))

        self._workers[step.endpoint.url].do(carry)

    def close(self) -> None:
        """Close the channels; calls under way end as cancelled."""
        self._is_closed = True
        for channel in self._channels:
            channel.close()
        for worker in self._workers.values():
            worker.close()


class AsyncWire(Wire):
    """Carries the requests of one event loop, the one that runs when it is made."""

    _package = grpc.aio

    def __init__(self, urls: Sequence[str], *, model: str, tls: TlsFiles | None) -> None:
        """Open the channels."""
        super().__init__(urls, model=model, tls=tls)
        note_opened(self)

    async def send(self, step: Try, request: Request, message: bytes) -> Outcome:
        """Return what an endpoint makes of a request."""
        asked = message + version_part(step.version)
        try:
            response = await self._infer[step.endpoint.url](asked, timeout=step.timeout_s)
            return outcome_of(request, response, step.version)
        except grpc.RpcError as error:
            return failed(error)
        except grpc.aio.UsageError:
            return CLOSED  # between two tries
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
            return CLOSED

    async def close(self) -> None:
        """Close the channels; calls under way end as cancelled."""
        await asyncio.gather(*(channel.close() for channel in self._channels))
        note_closed(self)


def outcome_of(request: Request, content: bytes, version_asked: str = "") -> Outcome:
    """Return what a response answers to a request, or that it does not."""
    texts, output = request.texts, request.output
    try:
        response = pb.ModelInferResponse.FromString(content)
        rows, version = read_response(response, texts, output, request_id=request.request_id)
        if version_asked and version != version_asked:
            raise AnswerError(f"expected version {version_asked} to answer, got {version!r:.20}")
        if output == ENTITIES:
            return Answered(list(map(read_entities, rows, texts)), version)
        read = read_graph if output == GRAPH else read_traffic
        return Answered([read(row) for row in rows], version)
    except AnswerError as error:
        return Failed(Failure.WRONG_ANSWER, str(error))
    except DecodeError:
        return Failed(Failure.WRONG_ANSWER, "expected a ModelInferResponse, got other bytes")


def failed(error: Any) -> Failed:  # noqa: ANN401  grpc has no types
    """Return what an error of gRPC means."""
    return classify(error.code().name, str(error.details()))

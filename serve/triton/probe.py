"""Owns questions to one server about itself: who it is, what it has, whether its model answers.

Unlike a client's, these calls know no policy, no second try and no other server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from serve.entities import EntityJson
from serve.errors import ServerError
from serve.triton.admin import Admin, read_admin_key
from serve.triton.channels import open_channel
from serve.triton.names import ENTITIES, GRAPH, MODEL, TEXT, GraphJson
from serve.triton.state import ServerState

_SERVICE = "/inference.GRPCInferenceService"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        graph: The graph that answered, and its version.
        entities: The entities of each text.
    """

    graph: GraphJson
    entities: tuple[tuple[EntityJson, ...], ...]


class Probe:
    """A connection to a server of this machine, from the note of its state."""

    def __init__(self, state: ServerState, *, timeout_s: float) -> None:
        """Take a server's note; the connection is made with the first call.

        Raises:
            ServerError: If a certificate to reach it with cannot be read.
        """
        self.state = state
        self._timeout_s = timeout_s
        tls = Path(state.tls) if state.tls else None
        self._channel = open_channel(state.url, tls, is_local=True)

    def identity(self) -> tuple[str, str]:
        """Return the server's `--id` and Triton's version, such as "2.51.0".

        Raises:
            ServerError: If there is no answer in time.
        """
        call = self._method("ServerMetadata", pb.ServerMetadataResponse)
        try:
            answer = call(pb.ServerMetadataRequest(), timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise ServerError(self._explained(error)) from error
        return str(answer.name), str(answer.version)

    def ask(self, texts: Sequence[str]) -> Answer:
        """Return the model's answer to texts, in one request.

        Raises:
            ServerError: If there is no answer in time, or not as agreed.
        """
        return self.read(self.send(texts))

    def send(self, texts: Sequence[str]) -> Any:  # noqa: ANN401  grpc has no types
        """Send a request and return its future, done at the latest after the time-out."""
        rows = np.array([text.encode() for text in texts], dtype=np.object_)[:, None]
        names = (ENTITIES, GRAPH)
        request = pb.ModelInferRequest(
            model_name=MODEL,
            inputs=[
                pb.ModelInferRequest.InferInputTensor(
                    name=TEXT, datatype="BYTES", shape=[len(texts), 1]
                )
            ],
            outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in names],
            raw_input_contents=[serialize_byte_tensor(rows).item()],
        )
        call = self._method("ModelInfer", pb.ModelInferResponse)
        return call.future(request, timeout=self._timeout_s)

    def read(self, future: Any) -> Answer:  # noqa: ANN401
        """Return the answer of a future that `send` returned, waiting for it.

        Raises:
            ServerError: If there is no answer in time, or not as agreed.
        """
        try:
            response = future.result()
        except grpc.RpcError as error:
            raise ServerError(self._explained(error)) from error
        try:
            contents = {
                output.name: [json.loads(row) for row in deserialize_bytes_tensor(content)]
                for output, content in zip(
                    response.outputs, response.raw_output_contents, strict=True
                )
            }
            entities = tuple(tuple(row) for row in contents[ENTITIES])
            return Answer(cast(GraphJson, contents[GRAPH][0]), entities)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ServerError(
                f"{self.state.url}: expected {ENTITIES} and {GRAPH} in JSON, got {error!r:.80}"
            ) from error

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def _method(self, name: str, response: Any) -> Any:  # noqa: ANN401
        return self._channel.unary_unary(
            f"{_SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _explained(self, error: Any) -> str:  # noqa: ANN401
        details = str(error.details()).split("\n")[0]
        return f"{self.state.url}: expected an answer, got {error.code().name}: {details}"

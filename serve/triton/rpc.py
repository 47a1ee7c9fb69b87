"""Owns the remote procedure calls to a Triton: gRPC messages in and out, failures as our errors.

The request is built as protobuf right here, and texts go as raw bytes: tritonclient's own classes
do the same by way of numpy arrays. A channel serves any number of threads. Every call has a
deadline.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, cast

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.entities import EntityJson
from serve.errors import DataError, ServerError, TaggingError
from serve.triton.channels import OPTIONS
from serve.triton.names import ENTITIES, GRAPH, MODEL, TEXT, GraphJson

_SERVICE = "/inference.GRPCInferenceService"
_LENGTH = struct.Struct("<I")


class Connection:
    """A channel to one Triton.

    Attributes:
        url: Its address, `host:port`.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Take an address; the connection is made with the first call."""
        self.url = url
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(url, options=OPTIONS)
        self._infer = self._method("ModelInfer", pb.ModelInferResponse)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def tag(self, texts: Sequence[str]) -> list[list[EntityJson]]:
        """Return the entities of each text, in one request.

        Raises:
            DataError: If the server refuses a text.
            ServerError: If there is no answer in time, or not as agreed.
        """
        return self._request(texts, ENTITIES)

    def graph(self) -> GraphJson:
        """Return which graph answers; a whole inference, so it shows that the model lives.

        Raises:
            ServerError: If there is no answer in time, or not as agreed.
        """
        (graph,) = self._request([""], GRAPH)
        if not isinstance(graph, dict) or not graph.keys() >= GraphJson.__required_keys__:
            raise ServerError(f"{self.url}: expected the graph that answers, got {graph!r:.80}")
        return cast(GraphJson, graph)

    def _request(self, texts: Sequence[str], output: str) -> list[Any]:
        """Return an output's JSON value for each text."""
        encoded = [text.encode() for text in texts]
        content = b"".join(part for text in encoded for part in (_LENGTH.pack(len(text)), text))
        tensor = pb.ModelInferRequest.InferInputTensor(
            name=TEXT, datatype="BYTES", shape=[len(texts), 1]
        )
        request = pb.ModelInferRequest(
            model_name=MODEL,
            inputs=[tensor],
            outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=output)],
            raw_input_contents=[content],
        )
        outputs = self._call(self._infer, request).raw_output_contents
        if len(outputs) != 1:
            raise ServerError(f"{self.url}: expected the output {output}, got {len(outputs)}")
        try:
            rows = [json.loads(row) for row in _split(outputs[0])]
        except (ValueError, RecursionError, struct.error) as error:
            raise ServerError(f"{self.url}: expected {output} in JSON, got {error}") from error
        if len(rows) != len(texts):
            raise ServerError(f"{self.url}: expected {len(texts)} answers, got {len(rows)}")
        return rows

    def _method(self, name: str, response: Any) -> Any:  # noqa: ANN401  grpc has no types
        return self._channel.unary_unary(
            f"{_SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _call(self, method: Any, message: Any) -> Any:  # noqa: ANN401
        try:
            return method(message, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._explained(error) from error

    def _explained(self, error: Any) -> TaggingError:  # noqa: ANN401
        code, details = error.code(), str(error.details()).split("\n")[0]
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return DataError(f"{self.url} refused: {details}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerError(
                f"{self.url}: expected an answer within {self._timeout_s:g} s, got none; "
                "give it more time, or see python -m serve status"
            )
        if code is grpc.StatusCode.UNAVAILABLE:
            return ServerError(
                f"{self.url}: expected a Triton that answers, got {details}; "
                "start one with python -m serve start"
            )
        return ServerError(
            f"{self.url}: expected an answer from the model {MODEL}, got {code.name}: {details}; "
            "see python -m serve status, and restart the server if its model died"
        )


def _split(content: bytes) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor: each has its length in front."""
    position = 0
    while position < len(content):
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size + length
        yield content[position - length : position]

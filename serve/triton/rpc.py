"""Owns the remote procedure calls to one Triton that are no tagging: how it is, and what it has.

One try each, with a deadline; `serve.client` owns asking several servers, and asking again.
"""

from __future__ import annotations

from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.errors import AnswerError
from serve.triton.channels import method, open_channel
from serve.triton.failures import Failed, Failure, classify, explain
from serve.triton.messages import read_graph, read_response, write_request
from serve.triton.names import GRAPH, GraphJson, ModelVersion
from serve.triton.tls import TlsFiles

_REQUEST_ID = "graph"


class Connection:
    """A channel to one Triton.

    Attributes:
        url: Its address, `host:port`.
    """

    def __init__(self, url: str, *, timeout_s: float, tls: TlsFiles | None = None) -> None:
        """Take an address; the connection is made with the first call."""
        self.url = url
        self._timeout_s = timeout_s
        self._channel = open_channel(url, tls)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def graph(self) -> GraphJson:
        """Return which graph answers; a whole inference, so it shows that the model lives.

        Raises:
            ServerError: If there is no answer in time, or not as agreed.
        """
        request = write_request([""], GRAPH, request_id=_REQUEST_ID)
        response = self._call("ModelInfer", request, pb.ModelInferResponse)
        try:
            reply = read_response(response, [""], GRAPH, request_id=_REQUEST_ID)
            return read_graph(reply.rows[0])
        except AnswerError as error:
            raise self._explained(Failed(Failure.WRONG_ANSWER, str(error))) from error

    def server_id(self) -> str:
        """Return the server's `--id`.

        Raises:
            ServerError: If there is no answer in time.
        """
        request = pb.ServerMetadataRequest()
        return str(self._call("ServerMetadata", request, pb.ServerMetadataResponse).name)

    def model_versions(self) -> list[ModelVersion]:
        """Return every version the server knows of.

        Raises:
            ServerError: If there is no answer in time.
        """
        request = pb.RepositoryIndexRequest()
        models = self._call("RepositoryIndex", request, pb.RepositoryIndexResponse).models
        return [ModelVersion(m.name, m.version, m.state, m.reason) for m in models]

    def _call(self, name: str, message: Any, response: Any) -> Any:  # noqa: ANN401  grpc has no types
        try:
            return method(self._channel, name, response)(message, timeout=self._timeout_s)
        except grpc.RpcError as error:
            failed = classify(error.code().name, str(error.details()))
            raise self._explained(failed) from error

    def _explained(self, failed: Failed) -> Exception:
        return explain(failed, url=self.url, deadline_s=self._timeout_s)

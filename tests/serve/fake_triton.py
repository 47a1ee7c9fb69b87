"""Answers as Triton's tagger does, in this process: each word an item, or as a test says."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.entities import Entity
from serve.triton.names import ENTITIES, GRAPH, NUM_CHARS, TRAFFIC
from serve.versions.traffic import Traffic

Answer = Callable[[pb.ModelInferRequest, grpc.ServicerContext], pb.ModelInferResponse]
_SERVICE = "inference.GRPCInferenceService"
_GRAPH = {"file": "fake.onnx", "precision": "fp32", "provider": "CPU", "version": "1"}


@contextmanager
def fake_triton(
    answer: Answer | None = None,
    *,
    credentials: grpc.ServerCredentials | None = None,
    name: str = "fake",
    port: int = 0,
) -> Iterator[str]:
    """Serve on a port, a free one for 0, under a name; yield the address."""

    def infer(content: bytes, context: grpc.ServicerContext) -> bytes:
        request = pb.ModelInferRequest.FromString(content)
        return (answer or proper_answer)(request, context).SerializeToString()

    def metadata(content: bytes, context: grpc.ServicerContext) -> bytes:
        return pb.ServerMetadataResponse(name=name, version="2.51.0").SerializeToString()

    with ThreadPoolExecutor(32) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        calls = {"ModelInfer": infer, "ServerMetadata": metadata}
        methods = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
        handler = grpc.method_handlers_generic_handler(_SERVICE, methods)
        server.add_generic_rpc_handlers((handler,))
        if credentials:
            port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        else:
            port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def texts_of(request: pb.ModelInferRequest) -> list[str]:
    """Return the texts that a request asks about."""
    content, position, texts = request.raw_input_contents[0], 0, []
    while position < len(content):
        (length,) = struct.unpack_from("<I", content, position)
        position += 4 + length
        texts.append(content[position - length : position].decode())
    return texts


def proper_answer(
    request: pb.ModelInferRequest, context: grpc.ServicerContext | None = None
) -> pb.ModelInferResponse:
    """Return what a healthy server answers."""
    texts = texts_of(request)
    contents = {
        ENTITIES: _elements([[entity.to_json() for entity in words(text)] for text in texts]),
        NUM_CHARS: struct.pack(f"<{len(texts)}i", *map(len, texts)),
        GRAPH: _elements([_GRAPH for _ in texts]),
        TRAFFIC: _elements([asdict(Traffic(stable=1)) for _ in texts]),
    }
    wanted = [output.name for output in request.outputs]
    output = pb.ModelInferResponse.InferOutputTensor
    return pb.ModelInferResponse(
        id=request.id,
        model_version="1",
        outputs=[output(name=name) for name in wanted],
        raw_output_contents=[contents[name] for name in wanted],
    )


class Moody:
    """Answers, or says that it takes nothing while it is sick; notes what it answered.

    Attributes:
        is_sick: Whether it takes nothing.
        asked: The texts.
        versions: The version that each request asked for.
    """

    def __init__(self) -> None:
        self.is_sick = True
        self.asked: list[str] = []
        self.versions: list[str] = []

    def __call__(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if self.is_sick:
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        self.asked.extend(texts_of(request))
        self.versions.append(request.model_version)
        return proper_answer(request)


class Held:
    """Answers when it is told to go on.

    Attributes:
        asked: To acquire once for each request that came.
        go_on: To set when it may answer.
    """

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()

    def __call__(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        self.asked.release()
        self.go_on.wait(30.0)
        return proper_answer(request)


def words(text: str) -> list[Entity]:
    """Return the entities that the fake finds."""
    return [Entity("Item", *match.span(), 0.5) for match in re.finditer(r"\w+", text)]


def _elements(rows: list[object]) -> bytes:
    encoded = [json.dumps(row).encode() for row in rows]
    return b"".join(struct.pack("<I", len(row)) + row for row in encoded)

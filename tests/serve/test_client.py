"""Tests the tagger behind Triton: the embedded tagger's answers, and clear failures."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from tritonclient.grpc import InferenceServerClient, service_pb2

from benchmarks.triton import TritonServer
from serve.client import Policy, TritonTagger
from serve.client.requests import MAX_REQUEST_CHARS, MAX_REQUEST_TEXTS
from serve.entities import Entity
from serve.errors import DataError, ServerError
from serve.limits import MAX_CHARS
from serve.tagger import Tagger
from serve.triton.admin import admin_metadata, read_admin_key
from serve.triton.names import MAX_BATCH_SIZE
from tests.serve.tiny import noisy_lines

pytestmark = pytest.mark.triton
TIMEOUT_S = 10.0  # a busy machine must not fail a test that is not about time


@pytest.fixture(scope="module")
def client(server: TritonServer) -> Iterator[TritonTagger]:
    with TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as tagger:
        yield tagger


def infer(url: str, *elements: bytes) -> service_pb2.ModelInferResponse:
    """Send raw bytes as texts, past the client's own checks."""
    content = b"".join(len(element).to_bytes(4, "little") + element for element in elements)
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="TEXT", datatype="BYTES", shape=[len(elements), 1]
    )
    request = service_pb2.ModelInferRequest(
        model_name="tagger", inputs=[tensor], raw_input_contents=[content]
    )
    with grpc.insecure_channel(url) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        return call(request, timeout=TIMEOUT_S)


def test_eight_callers_at_once_get_exactly_the_embedded_answers(
    client: TritonTagger, embedded: Tagger
) -> None:
    parts = [noisy_lines(100, seed=seed) for seed in range(8)]
    expected = [[embedded.tag([text]) for text in part] for part in parts]

    def one_by_one(part: list[str]) -> list[object]:
        return [client.tag([text]) for text in part]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one_by_one, parts)) == expected
        assert list(pool.map(client.tag, parts)) == [
            [row for (row,) in answers] for answers in expected
        ]
    assert sum(len(row) for answers in expected for (row,) in answers) > 500


def test_offsets_slice_emoji_and_combining_characters_right(
    client: TritonTagger, embedded: Tagger
) -> None:
    texts = ["👩‍🔧 fix 🔧pump", "e\u0301tat: Été 🇫🇷 hose", "x\x00y \u202e oil", "", "  "]
    answers = client.tag(texts)
    assert answers == embedded.tag(texts)
    words = [text[e.start : e.end] for text, row in zip(texts, answers, strict=True) for e in row]
    assert words == [word.strip() for word in words]
    assert answers[3:] == [[], []]
    assert client.tag([]) == []


def test_many_texts_go_in_requests_of_bounded_size(
    client: TritonTagger, embedded: Tagger, server: TritonServer
) -> None:
    assert MAX_REQUEST_TEXTS <= MAX_BATCH_SIZE
    texts = noisy_lines(3 * MAX_REQUEST_TEXTS + 1, seed=9)
    longest = ["pump hose " * (MAX_CHARS // 10), "fix " * (MAX_REQUEST_CHARS // 4)]
    texts[5:5] = longest
    assert client.tag(texts) == embedded.tag(texts)


def test_a_text_over_the_cap_is_refused_before_it_is_sent() -> None:
    with (
        TritonTagger("127.0.0.1:1") as nowhere,
        pytest.raises(DataError, match=f"text 1: expected at most {MAX_CHARS} characters, got"),
    ):
        nowhere.tag(["fine", "x" * (MAX_CHARS + 1)])
    with (
        TritonTagger("127.0.0.1:1") as nowhere,
        pytest.raises(TypeError, match="expected texts, got one string"),
    ):
        nowhere.tag("text")


def test_the_server_itself_refuses_a_bad_text(server: TritonServer) -> None:
    for bad, message in [
        (b"x" * (MAX_CHARS + 1), f"text 1: expected at most {MAX_CHARS} characters"),
        (b"x" * 10_000_000, "text 1: expected at most 20000 characters, got 10000000 bytes"),
        (b"\xff", "text 1: expected UTF-8, got byte 0 that is not"),
        (b"\xed\xa0\x80", "text 1: expected UTF-8"),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            infer(server.url, b"fine", bad)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert message in caught.value.details()


def test_a_bad_text_fails_its_own_request_and_no_other(
    server: TritonServer, client: TritonTagger, embedded: Tagger
) -> None:
    parts = [noisy_lines(30, seed=seed) for seed in range(20, 27)]

    def bad_requests() -> int:
        num_refused = 0
        for number in range(60):
            with pytest.raises(grpc.RpcError) as caught:
                infer(server.url, b"\xff" if number % 2 else b"x" * (MAX_CHARS + 1))
            num_refused += caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        return num_refused

    with ThreadPoolExecutor(8) as pool:
        refused = pool.submit(bad_requests)
        good = [pool.submit(lambda p: [client.tag([t])[0] for t in p], part) for part in parts]
        assert [future.result() for future in good] == [embedded.tag(part) for part in parts]
        assert refused.result() == 60


def test_requests_merge_in_the_batcher(server: TritonServer, client: TritonTagger) -> None:
    http_free = InferenceServerClient(server.url)
    key = dict(admin_metadata(read_admin_key(server.state.folder)))
    before = http_free.get_inference_statistics("tagger", headers=key).model_stats[0]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda text: client.tag([text]), noisy_lines(400, seed=3)))
    after = http_free.get_inference_statistics("tagger", headers=key).model_stats[0]
    http_free.close()
    # The client asks for the versions as well.
    assert after.inference_count - before.inference_count >= 400
    assert after.execution_count - before.execution_count < 400


def test_an_ordinary_triton_client_gets_every_output(server: TritonServer) -> None:
    answer = infer(server.url, "fix 🔧".encode(), b"")
    assert [(output.name, list(output.shape)) for output in answer.outputs] == [
        ("ENTITIES", [2, 1]),
        ("NUM_CHARS", [2, 1]),
        ("GRAPH", [2, 1]),
        ("TRAFFIC", [2, 1]),
    ]
    assert struct.unpack("<2i", answer.raw_output_contents[1]) == (5, 0)


def test_the_server_tells_which_graph_answers(client: TritonTagger) -> None:
    assert client.graph() == {
        "file": "model_int8.onnx",
        "precision": "int8",
        "provider": "CPUExecutionProvider",
        "version": "1",
    }


def test_a_proxy_for_the_web_is_not_asked_for_the_server(
    server: TritonServer, embedded: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as client:
        assert client.tag(["fix pump"]) == embedded.tag(["fix pump"])


def test_a_server_that_is_down_is_named_at_once() -> None:
    before = time.monotonic()
    with TritonTagger("127.0.0.1:1", policy=Policy(deadline_s=30.0)) as nowhere:
        message = r"127\.0\.0\.1:1: expected a Triton that answers, .*python -m serve start"
        with pytest.raises(ServerError, match=message):
            nowhere.tag(["fix pump"])
    assert time.monotonic() - before < 20.0


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """Answer whatever is asked with the same bytes, as a server of another kind may."""
    infer = service_pb2.ModelInferResponse.InferOutputTensor

    def answer(content: bytes, context: grpc.ServicerContext) -> bytes:
        request = service_pb2.ModelInferRequest.FromString(content)
        (texts,) = request.raw_input_contents
        return service_pb2.ModelInferResponse(
            id=request.id,
            model_version="1",
            outputs=[infer(name=output.name) for output in request.outputs],
            raw_output_contents=[raw, (len(texts) - 4).to_bytes(4, "little")],
        ).SerializeToString()

    method = grpc.unary_unary_rpc_method_handler(answer)
    service = "inference.GRPCInferenceService"
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler(service, {"ModelInfer": method})
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def element(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content


ENTITY = b'[{"label": "a", "start": 0, "end": 3, "score": 1.0%s}]'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected ENTITIES in JSON, got Expecting value"),
        (b"<html>", "expected ENTITIES in JSON, got Expecting value"),
        (b"\xff", "expected ENTITIES in JSON, got 'utf-8' codec"),
        (b"[" * 200_000, "expected ENTITIES in JSON, got maximum recursion depth"),
        (b"null", "expected entities with label, start, end and score, .* got None"),
        (b"[3]", r"expected entities with label, .* got \[3\]; serve with the version"),
        (b'["label"]', "expected entities with label"),
        (b'[{"label": "a"}]', "expected entities with label"),
        (ENTITY % b', "unknown": 1', "expected entities with label"),
    ],
)
def test_an_answer_in_another_form_is_told(content: bytes, message: str) -> None:
    with (
        answering(element(content)) as url,
        TritonTagger(url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
        pytest.raises(ServerError, match=f"{url}: {message}"),
    ):
        client.tag(["fix"])


def test_an_answer_that_was_cut_is_told() -> None:
    with (
        answering(b"\x01") as url,
        TritonTagger(url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
        pytest.raises(ServerError, match="expected ENTITIES in JSON, got unpack_from requires"),
    ):
        client.tag(["fix"])


def test_an_answer_as_agreed_is_taken_and_one_too_many_is_told() -> None:
    with (
        answering(element(ENTITY % b"")) as url,
        TritonTagger(url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
    ):
        assert client.tag(["fix"]) == [[Entity("a", 0, 3, 1.0)]]
        with pytest.raises(ServerError, match=f"{url}: expected the graph that answers, got "):
            client.graph()
    for num_answers in (0, 2):
        with (
            answering(element(ENTITY % b"") * num_answers) as url,
            TritonTagger(url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
        ):
            for ask in (client.graph, lambda: client.tag(["fix"])):
                with pytest.raises(ServerError, match=f"expected 1 answers, got {num_answers}"):
                    ask()


def test_a_server_that_does_not_answer_is_given_up_at_the_deadline() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        TritonTagger(
            f"127.0.0.1:{silent.getsockname()[1]}", policy=Policy(deadline_s=0.2)
        ) as client,
        pytest.raises(ServerError, match=r"expected an answer within 0\.2 s, got none"),
    ):
        client.tag(["fix pump"])

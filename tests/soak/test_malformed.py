"""Tests requests that are no requests: refused, each of them, and the next good one is exact.

Three kinds, from a seed: a good request with one part made wrong, of which all must be refused; the
bytes of a good request with some changed, of which some still say something, and must be answered
for what they say; and bytes that are not even HTTP/2.

Triton 2.51 itself passes over five things before any model sees the request: `LENIENT` holds them,
and they are tested for giving the very answer of the request without them, and nothing else.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from benchmarks.memory.group import group_bytes
from benchmarks.triton import TritonServer, start_triton
from serve.client import Policy, TritonTagger
from serve.errors import AnswerError
from serve.repository import publish
from serve.tagger import Tagger
from serve.triton.messages import read_response, write_request
from serve.triton.names import ENTITIES
from serve.triton.processes import processes_of
from tests.serve.tiny import noisy_lines
from tests.soak.conftest import Soak
from tests.soak.malformed import CHANGES, LENIENT, readable, spoilt, texts_of

pytestmark = pytest.mark.triton
MAX_GROWTH_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 5.0
LINES = noisy_lines(100, seed=7)
METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Wire:
    """A channel that takes bytes, whatever they are."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.insecure_channel(url)
        self._call = self._channel.unary_unary(
            METHOD, request_serializer=None, response_deserializer=None
        )

    def send(self, content: bytes) -> tuple[bytes | None, grpc.StatusCode | None]:
        """Return the answer, or the code of the refusal."""
        try:
            return self._call(content, timeout=TIMEOUT_S), None
        except grpc.RpcError as error:
            return None, error.code()

    def close(self) -> None:
        self._channel.close()


@pytest.fixture(scope="module")
def server(
    served_bundle: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """Return one Triton for all of these: what the first did to it, the last would meet."""
    repository = tmp_path_factory.mktemp("malformed") / "repository"
    publish(served_bundle, repository)
    with start_triton(repository, environment=environment) as running:
        yield running


@pytest.fixture
def wire(server: TritonServer) -> Iterator[Wire]:
    opened = Wire(server.url)
    yield opened
    opened.close()


@pytest.fixture
def client(server: TritonServer) -> Iterator[TritonTagger]:
    with TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as tagger:
        yield tagger


class Guard:
    """Holds a server to what it was: its processes, its memory, its answers to good requests."""

    def __init__(self, server: TritonServer, client: TritonTagger, embedded: Tagger) -> None:
        self._server = server
        self._client = client
        self._embedded = embedded
        self._number = 0
        for _ in range(200):  # warm
            self.next_good_one_is_exact()
        self._processes = sorted(processes_of(server.state.prefix))
        self._bytes = group_bytes(server.state.pid)

    def next_good_one_is_exact(self) -> None:
        self._number += 1
        texts = [LINES[self._number % len(LINES)]]
        assert self._client.tag(texts) == self._embedded.tag(texts)

    def growth_bytes(self) -> int:
        return group_bytes(self._server.state.pid) - self._bytes

    def check(self) -> None:
        assert sorted(processes_of(self._server.state.prefix)) == self._processes, "one crashed"
        assert self.growth_bytes() <= MAX_GROWTH_BYTES


@pytest.fixture
def guard(server: TritonServer, client: TritonTagger, embedded: Tagger) -> Guard:
    return Guard(server, client, embedded)


def good_request(choose: random.Random) -> Any:
    content = write_request([choose.choice(LINES)], ENTITIES, request_id=f"r{choose.random()}")
    return pb.ModelInferRequest.FromString(content)


def test_a_request_with_any_part_wrong_is_refused(wire: Wire, guard: Guard, soak: Soak) -> None:
    choose, names = random.Random(1), list(CHANGES)
    num_requests = soak.size(small=600, large=60_000)
    answered: list[str] = []
    late: list[str] = []
    for number in range(num_requests):
        name = names[number % len(names)]
        request = good_request(choose)
        CHANGES[name](request, choose)
        answer, code = wire.send(request.SerializeToString())
        answered += [name] if answer is not None else []
        late += [name] if code is grpc.StatusCode.DEADLINE_EXCEEDED else []
        guard.next_good_one_is_exact()
    soak.record(
        "malformed parts",
        num_requests=num_requests,
        answered=answered,
        late=late,
        growth_bytes=guard.growth_bytes(),
    )
    assert sorted(set(answered)) == sorted(set(late)) == []
    guard.check()


@pytest.mark.parametrize("name", sorted(LENIENT))
def test_what_triton_passes_over_changes_no_answer(
    name: str, wire: Wire, guard: Guard, embedded: Tagger
) -> None:
    choose = random.Random(4)
    for _ in range(10):
        line = choose.choice(LINES)
        content = write_request([line], ENTITIES, request_id="r")
        request = pb.ModelInferRequest.FromString(content)
        LENIENT[name](request, choose)
        answer, _ = wire.send(request.SerializeToString())
        if answer is not None:  # a later Triton may refuse it
            assert entities_of(answer, [line], "r") == entities_by(embedded, [line])
    guard.next_good_one_is_exact()
    guard.check()


def entities_of(answer: bytes, texts: list[str], request_id: str) -> list[Any]:
    response = pb.ModelInferResponse.FromString(answer)
    rows: list[Any] = read_response(response, texts, ENTITIES, request_id=request_id).rows
    return rows


def entities_by(embedded: Tagger, texts: list[str]) -> list[Any]:
    return [[entity.to_json() for entity in row] for row in embedded.tag(texts)]


def test_bytes_that_were_changed_are_refused_or_answered_for_what_they_say(
    wire: Wire, guard: Guard, embedded: Tagger, soak: Soak
) -> None:
    choose = random.Random(2)
    num_requests, num_answered = soak.size(small=300, large=30_000), 0
    wrong: list[bytes] = []
    for _ in range(num_requests):
        content = spoilt(good_request(choose).SerializeToString(), choose)
        answer, _ = wire.send(content)
        if answer is not None:
            num_answered += 1
            wrong += [] if says_right(content, answer, embedded) else [content]
        guard.next_good_one_is_exact()
    soak.record(
        "malformed bytes",
        num_requests=num_requests,
        num_answered=num_answered,
        num_wrong=len(wrong),
        growth_bytes=guard.growth_bytes(),
    )
    assert wrong == []
    assert 0 < num_answered < num_requests  # both ways were taken
    guard.check()


def says_right(content: bytes, answer: bytes, embedded: Tagger) -> bool:
    """Return whether an answer is that to what a request says, by the embedded tagger."""
    content = readable(content)
    texts = texts_of(content)
    response = pb.ModelInferResponse.FromString(answer)
    if texts is None:
        return False
    outputs = dict(
        zip((o.name for o in response.outputs), response.raw_output_contents, strict=True)
    )
    if ENTITIES not in outputs or len(outputs) < 2:
        return True  # it asked for other outputs; there are no entities to be wrong
    request = pb.ModelInferRequest.FromString(content)
    named = request.id.split("\0")[0]  # Triton takes it for a string of C
    return entities_of(answer, texts, named) == entities_by(embedded, texts)


def test_an_answer_to_another_request_would_be_seen(wire: Wire, embedded: Tagger) -> None:
    asked, other = (write_request([line], ENTITIES, request_id="r") for line in ("fix pump", "oil"))
    answer, _ = wire.send(asked)
    assert answer is not None
    assert says_right(asked, answer, embedded)
    assert not says_right(asked[:-1], answer, embedded)  # no request any more
    with pytest.raises(AnswerError, match="expected the answers to 1 texts of 3 characters"):
        says_right(other, answer, embedded)


def test_bytes_that_are_no_http2_do_no_harm(server: TritonServer, guard: Guard, soak: Soak) -> None:
    choose = random.Random(3)
    host, port = server.url.split(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for number in range(num_requests := soak.size(small=100, large=10_000)):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            junk = choose.randbytes(choose.randrange(1, 2_000))
            begin = (b"", preface, preface + bytes(9), b"GET / HTTP/1.1\r\n\r\n")[number % 4]
            connection.sendall(begin + junk)
            if number % 2:  # and gone, with a reset
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        guard.next_good_one_is_exact()
    soak.record("malformed http2", num_requests=num_requests, growth_bytes=guard.growth_bytes())
    guard.check()
    assert os.path.exists(f"/proc/{server.state.pid}")


def test_rows_beyond_a_counter_fail_nobody_they_are_merged_with(
    wire: Wire, client: TritonTagger, embedded: Tagger, guard: Guard
) -> None:
    choose, are_over = random.Random(7), threading.Event()

    def attack() -> list[bytes | None]:
        answers = []
        while not are_over.is_set():
            request = good_request(choose)
            CHANGES["rows beyond a counter"](request, choose)
            answers.append(wire.send(request.SerializeToString())[0])
        return answers

    with ThreadPoolExecutor(6) as pool:
        attacks = [pool.submit(attack) for _ in range(2)]
        try:
            texts = [[LINES[number % len(LINES)]] for number in range(400)]
            assert list(pool.map(client.tag, texts)) == [embedded.tag(text) for text in texts]
        finally:
            are_over.set()
        answers = [answer for attacked in attacks for answer in attacked.result()]
    assert len(answers) > 10
    assert set(answers) == {None}
    guard.check()

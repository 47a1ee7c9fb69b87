"""Tests the client of threads over real connections to servers in this process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.client import AsyncTritonTagger, Policy, TritonTagger, wire
from serve.client.blocking import read_ahead
from serve.client.requests import MAX_REQUEST_TEXTS, STREAM_REQUESTS, Requests
from serve.errors import AnswerError, DataError, Overloaded, ServerError
from serve.triton.failures import Failed, Failure
from serve.triton.names import ENTITIES
from serve.triton.processes import wait_until
from tests.serve.fake_triton import Held, Moody, fake_triton, proper_answer, words

PATIENT = Policy(deadline_s=30.0)
LINES = [f"pump {number} leaks" for number in range(1_000)]


@pytest.fixture
def url() -> Iterator[str]:
    with fake_triton() as address:
        yield address


def test_a_request_goes_on_at_another_server_when_one_takes_none(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def stopping(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "Server is stopping, scheduler has stopped")

    with (
        fake_triton(stopping) as sick,
        TritonTagger([sick, url], policy=PATIENT) as client,
        caplog.at_level(logging.INFO, logger="serve.client"),
    ):
        (answer,) = client.ask(["fix pump"])
        assert [entity.text for entity in answer.entities] == ["fix", "pump"]
    retry, ejected = sorted(
        (record for record in caplog.records if record.name == "serve.client"),
        key=lambda record: record.levelno,
    )
    assert retry.fields["request_id"] == answer.request_id
    assert (retry.fields["url"], retry.fields["reason"]) == (sick, "stopping")
    assert ejected.getMessage() == f"ejected url={sick} reason=stopping"


def test_a_server_that_is_well_again_is_found_by_a_probe_and_used(url: str) -> None:
    moody = Moody()
    with fake_triton(moody) as sick, TritonTagger([sick, url], policy=PATIENT) as client:
        client.tag(["a line"])
        moody.is_sick = False

        def is_used() -> bool:
            client.tag(["a line"])
            return "a line" in moody.asked

        assert wait_until(is_used, timeout_s=10.0)
        assert moody.asked[0] == "a", "the probe came first, and it was no caller's text"
        assert moody.versions[0] == "1", "the version that callers ask for"


def test_answers_that_cross_are_refused_and_never_given_to_the_wrong_text() -> None:
    kept: list[pb.ModelInferResponse] = []

    def crossing(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        if request.outputs[0].name == ENTITIES:
            kept.append(proper_answer(request))
            return kept[-2] if len(kept) > 1 else kept[-1]
        return proper_answer(request)

    with fake_triton(crossing) as url, TritonTagger(url, policy=PATIENT) as client:
        assert client.tag(["one"]) == [words("one")]
        with pytest.raises(
            AnswerError, match=r"expected the answer to request .*, got one to .*-1'"
        ):
            client.tag(["two"])


def test_an_answer_of_another_version_than_was_asked_for_is_refused() -> None:
    def answer(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        response = proper_answer(request)
        if request.model_version:
            response.model_version = "2"
        return response

    expected = "expected version 1 to answer, got '2'"

    async def ask(url: str) -> None:
        async with AsyncTritonTagger(url, policy=PATIENT) as client:
            with pytest.raises(AnswerError, match=expected):
                await client.tag(["one"])

    with fake_triton(answer) as url:
        with (
            TritonTagger(url, policy=PATIENT) as client,
            pytest.raises(AnswerError, match=expected),
        ):
            client.tag(["one"])
        asyncio.run(ask(url))


def test_callers_beyond_the_cap_are_turned_away_at_once_and_later_served() -> None:
    slow, policy = Held(), Policy(deadline_s=30.0, max_in_flight=2)
    with (
        fake_triton(slow) as url,
        TritonTagger(url, policy=policy) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        held = [pool.submit(client.tag, ["a"]) for _ in range(2)]
        for _ in held:
            slow.asked.acquire()
        with pytest.raises(Overloaded, match="got 2 under way"):
            client.tag(["b"])
        slow.go_on.set()
        assert [future.result() for future in held] == [[words("a")]] * 2
        assert client.tag(["b"]) == [words("b")]


def test_a_long_call_is_not_thrown_away_for_want_of_room() -> None:
    policy = Policy(deadline_s=30.0, max_in_flight=1)
    with (
        fake_triton() as url,
        TritonTagger(url, policy=policy) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        streams = [pool.submit(lambda: list(client.tag_stream(LINES[:200]))) for _ in range(2)]
        for stream in streams:
            assert [answer.text for answer in stream.result()] == LINES[:200]


def test_a_stream_keeps_the_order_and_reads_ahead_a_bounded_number(url: str) -> None:
    num_taken = 0

    def source() -> Iterator[str]:
        nonlocal num_taken
        for line in LINES:
            num_taken += 1
            yield line

    with TritonTagger(url, policy=PATIENT) as client:
        for number, answer in enumerate(client.tag_stream(source())):
            assert answer.text == LINES[number]
            assert [entity.text for entity in answer.entities] == LINES[number].split()
            assert num_taken - number <= (STREAM_REQUESTS + 1) * MAX_REQUEST_TEXTS + 1
    assert number == len(LINES) - 1


def take(items: Iterable[object], into: list[object]) -> None:
    for item in items:
        into.append(item)


def test_a_stream_answers_what_came_before_a_bad_text_and_names_it(url: str) -> None:
    answered: list[Any] = []
    with (
        TritonTagger(url, policy=PATIENT) as client,
        pytest.raises(DataError, match="text 150: expected at most 20000 characters"),
    ):
        take(client.tag_stream([*LINES[:150], "x" * 30_000, "never reached"]), answered)
    assert [answer.text for answer in answered] == LINES[:150]


def test_a_stream_that_is_left_early_leaves_no_thread(url: str) -> None:
    def num_threads() -> int:
        return sum(thread.name.startswith("tag_stream") for thread in threading.enumerate())

    with TritonTagger(url, policy=PATIENT) as client:
        stream = client.tag_stream(LINES)
        next(stream)
        assert num_threads() > 0
        stream.close()
        assert num_threads() == 0


def test_reading_ahead_keeps_the_failure_of_the_source_to_the_end() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("gone")

    taken: list[object] = []
    with pytest.raises(OSError, match="gone"):
        take(read_ahead(source(), 3), taken)
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("http://127.0.0.1:8001", "expected an address as host:port, got 'http://127"),
        ("127.0.0.1", "expected an address as host:port, got '127.0.0.1'"),
        ("127.0.0.1:0", "expected an address as host:port"),
        ("127.0.0.1:65536", "expected an address as host:port"),
        ("a b:1", "expected an address as host:port"),
        ("unix:/tmp/socket", "expected an address as host:port"),
        ("a:1,", "expected an address as host:port, got ''"),
        ("a:1,a:1", "expected one or more addresses, each once, got "),
        ([], "expected one or more addresses, each once, got "),
        (["a:1", "b:2", "a:1"], "expected one or more addresses, each once, got "),
    ],
)
def test_what_is_no_address_is_refused(urls: str | list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TritonTagger(urls)


def test_addresses_of_every_kind_and_names_of_models_are_taken() -> None:
    for url in ("127.0.0.1:8001", "[::1]:8001", "triton-0.plant_2.local:65535"):
        with TritonTagger(url) as client:
            assert client.urls == (url,)
    with TritonTagger("127.0.0.1:8001,[::1]:8001") as client:  # as `serve start` prints two
        assert client.urls == ("127.0.0.1:8001", "[::1]:8001")
    with pytest.raises(ValueError, match=r"expected a model name of 1 to 64 letters, .*'a/b'"):
        TritonTagger("a:1", model="a/b")


def test_a_client_asks_for_the_model_it_was_made_for() -> None:
    asked: list[str] = []

    def note(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        asked.append(request.model_name)
        return proper_answer(request)

    with fake_triton(note) as url, TritonTagger(url, policy=PATIENT, model="other") as client:
        client.tag(["x"])
    assert set(asked) == {"other"}


def test_a_closed_client_says_so(url: str) -> None:
    client = TritonTagger(url, policy=PATIENT)
    assert client.graph()["file"] == "fake.onnx"
    client.close()
    with pytest.raises(ServerError, match=r"open, got one that was closed; .* or make another"):
        client.tag(["x"])


def test_closing_ends_calls_under_way_with_an_error_that_says_so() -> None:
    silent = Held()
    with fake_triton(silent) as url, ThreadPoolExecutor(1) as pool:
        client = TritonTagger(url, policy=PATIENT)
        under_way = pool.submit(client.tag, ["x"])
        assert silent.asked.acquire(timeout=10.0)
        client.close()
        with pytest.raises(ServerError, match="open, got one that was closed"):
            under_way.result(10.0)
        silent.go_on.set()


def test_what_is_sent_after_the_channels_were_closed_fails_as_closed(url: str) -> None:
    """A call that was between its check and its sending when another thread closed the client."""
    client = TritonTagger(url, policy=PATIENT)
    client._wire.close()
    with pytest.raises(ServerError, match="open, got one that was closed"):
        client.tag(["x"])


@pytest.mark.parametrize(("end", "event"), [("__enter__", "c_return"), ("__exit__", "call")])
def test_a_call_that_a_signal_interrupted_leaves_other_threads_no_lock(
    url: str, end: str, event: str
) -> None:
    code = getattr(threading.Condition, end).__code__

    def interrupt(frame: FrameType, now: str, _: object) -> None:
        caller = frame.f_back.f_globals["__name__"] if frame.f_back else ""
        if now == event and frame.f_code is code and caller.startswith("grpc"):
            raise KeyboardInterrupt

    answers: list[object] = []
    client = TritonTagger(url, policy=PATIENT)
    client.tag(["a"])
    gc.collect()  # or what other tests left of gRPC's would be interrupted
    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.tag(["fix pump"])
    finally:
        sys.setprofile(None)
    thread = threading.Thread(target=lambda: answers.extend(client.tag(["fix"])), daemon=True)
    thread.start()
    thread.join(5.0)
    assert answers == [words("fix")]
    client.close()


def test_an_answer_that_would_fill_the_memory_is_not_taken() -> None:
    def huge(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        return pb.ModelInferResponse(id=request.id, raw_output_contents=[bytes(17 << 20)])

    with (
        fake_triton(huge) as url,
        TritonTagger(url, policy=PATIENT) as client,
        pytest.raises(ServerError, match=r"RESOURCE_EXHAUSTED: .* larger than max"),
    ):
        client.tag(["x"])


def test_importing_the_client_loads_nothing_heavy() -> None:
    script = (
        "import sys; import serve.client;"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'tokenizers', 'numpy', 'grpc',"
        " 'prometheus_client', 'onnx'} & sys.modules.keys();"
        "client = serve.client.TritonTagger('127.0.0.1:1');"
        "later = {'torch', 'transformers', 'onnxruntime', 'tokenizers', 'prometheus_client',"
        " 'onnx'} & sys.modules.keys();"
        "print(heavy, later)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set() set()"


LATE = """
import sys, threading
from serve.client import Policy, TritonTagger

def late():
    threading.main_thread().join()  # Python has shut all pools by then
    with TritonTagger(sys.argv[1], policy=Policy(deadline_s=30.0)) as client:
        print([answer.text for answer in client.tag_stream(map(str, range(200)))])

threading.Thread(target=late).start()
"""


def test_a_stream_of_a_thread_that_outlives_the_main_thread_goes_on(url: str) -> None:
    late = [sys.executable, "-c", LATE, url]
    done = subprocess.run(late, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{[str(n) for n in range(200)]}\n", "")


def test_the_deadline_holds_for_each_request_of_a_call() -> None:
    def slow(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        time.sleep(0.15)
        return proper_answer(request)

    with fake_triton(slow) as url, TritonTagger(url, policy=Policy(deadline_s=0.6)) as client:
        texts = ["x" * 2_000] * 6  # a request each: 0.9 s together
        assert len(client.tag(texts)) == 6


def test_a_forked_process_numbers_its_requests_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TritonTagger(url, policy=PATIENT) as client:
        parents = {answer.request_id.split("-")[0] for answer in client.ask(LINES[:100])}
        assert len(parents) == 1
        child = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: child)
        client.dispatcher.lock.acquire()  # as by a thread of the other process, at that moment
        children = {answer.request_id.split("-")[0] for answer in client.ask(LINES[:100])}
        assert len(children) == 1
        assert children != parents, "or one could take the other's answer for its own"


def test_a_client_that_was_at_work_when_its_process_was_forked_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    with (
        fake_triton(held) as url,
        TritonTagger(url, policy=PATIENT) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(client.tag, LINES[:1])
        assert held.asked.acquire(timeout=20.0)
        with monkeypatch.context() as forked:
            process = os.getpid()
            forked.setattr(os, "getpid", lambda: process + 1)
            for _ in range(2):
                with pytest.raises(ServerError, match=f"when process {process} was forked"):
                    client.tag(["other text"])
        held.go_on.set()
        assert under_way.result() == [words(LINES[0])]


class LimitError(Exception):
    """A job's time limit, as a signal raises it: anywhere."""


def test_what_a_signal_raises_as_an_answer_is_read_comes_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC would take it for a fault of the answer, and the limit would be none."""

    def interrupted(content: bytes) -> object:
        raise LimitError

    with TritonTagger(url, policy=PATIENT) as client:
        expected = client.tag(LINES[:1])
        with monkeypatch.context() as during:
            response = SimpleNamespace(FromString=interrupted)
            during.setattr(wire, "pb", SimpleNamespace(ModelInferResponse=response))
            with pytest.raises(LimitError):
                client.tag(LINES[:1])
        assert client.tag(LINES[:1]) == expected
        assert [endpoint.in_flight for endpoint in client.dispatcher.endpoints] == [0]


def test_an_answer_of_other_bytes_is_none() -> None:
    request = Requests().make(["fix pump"], ENTITIES)
    outcome = wire.outcome_of(request, b"\xff" * 9)
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.WRONG_ANSWER

"""Tests a client in forked processes: what a fork waits for, and what is each process's own."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.connection import Connection

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.client import AsyncTritonTagger, Policy, TritonTagger, front, route
from serve.client.beside import _WAITED_FOR, Beside
from serve.client.front import Front
from serve.client.steps import Answered, Outcome
from serve.errors import ServerError
from serve.triton.names import ENTITIES, TRAFFIC
from serve.triton.processes import wait_until
from serve.versions.traffic import Traffic
from tests.serve.fake_triton import fake_triton, proper_answer
from tests.serve.forked import holds_in_a_child

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
POLICY = Policy(deadline_s=10.0, try_timeout_s=10.0)
LATE_S = 0.2


@pytest.fixture(autouse=True)
def no_poller() -> None:
    """End gRPC's thread for asyncio, which no fork outlives: channels in tracebacks keep it."""
    gc.collect()


def nothing(outcome: Outcome) -> None:
    """Take an outcome."""


def test_what_was_sent_counts_until_it_is_heard_of() -> None:
    taken: list[object] = []
    beside = Beside(is_waited_for=True)
    first = beside.heard(taken.append, 10.0)
    second = beside.heard(taken.append, 10.0)
    assert not beside.is_idle()
    for take in (first, second):
        assert not beside.is_idle()
        take(Answered([], "1"))
    assert beside.is_idle()
    assert taken == [Answered([], "1")] * 2


def test_what_is_never_heard_of_counts_for_a_while_and_leaves_nothing() -> None:
    beside = Beside(is_waited_for=False)
    beside.heard(nothing, 0.01)
    assert not beside.is_idle()
    assert wait_until(beside.is_idle, timeout_s=10)
    beside.heard(nothing, 10.0)
    assert len(beside._until) == 1


def slow_traffic(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
    """Answer at once, but which versions there are."""
    if request.outputs[0].name == TRAFFIC:
        time.sleep(LATE_S)
    return proper_answer(request)


def serve_slowly(addresses: Connection) -> None:
    """Serve, in a process of its own: gRPC's servers survive no fork."""
    with fake_triton(slow_traffic) as url:
        addresses.send(url)
        addresses.recv()


def test_a_fork_waits_for_what_goes_beside_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "ASK_EVERY_S", 0.0)  # beside each request
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_slowly, args=(theirs,))
    server.start()
    try:
        with TritonTagger(ours.recv(), policy=POLICY) as client:
            expected = client.tag(["fix pump"])
            for _ in range(3):
                assert holds_in_a_child(lambda: client.tag(["fix pump"]) == expected)
                assert client.tag(["fix pump"]) == expected
    finally:
        ours.send("enough")
        server.join()


def test_a_child_that_was_forked_all_the_same_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Front("a:1", Policy(), "tagger")
    take = client._beside.heard(nothing, 10.0)
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    with pytest.raises(ServerError, match=f"when process {process} was forked"):
        client._make(["x"], ENTITIES)
    take(Answered([], "1"))
    assert client._make(["x"], ENTITIES).texts == ["x"]


def test_threads_of_a_child_that_begin_at_once_are_all_served() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(50):
            assert refused_of_eight() == []
    finally:
        sys.setswitchinterval(before)


def refused_of_eight() -> list[ServerError]:
    """Return what threads of a child meet, whose first requests stay under way."""
    client, gate, errors = Front("a:1", Policy(), "tagger"), threading.Barrier(8), []
    client._pid -= 1  # as after a fork

    def begin() -> None:
        gate.wait()
        try:
            client._make(["x"], ENTITIES)
            client.dispatcher.endpoints.take([])
        except ServerError as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for act in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            act(thread)
    return errors


@pytest.mark.parametrize("is_known", [False, True])
def test_each_process_draws_for_itself_what_it_was_not_told_before(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """Workers forked from one program would all be on one side of a trial."""
    draws = iter([0.1, 0.9])
    monkeypatch.setattr(front.random, "random", lambda: next(draws))
    client = Front("a:1", Policy(), "tagger")
    if is_known:  # its side of a trial, and perhaps seen by somebody
        client.dispatcher.learned(Answered([Traffic(stable=3, canary=4, share=0.5)], "1"))
        assert client._route.version == "4"
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    client._make(["x"], ENTITIES)
    client.dispatcher.learned(Answered([Traffic(stable=5, canary=6, share=0.5)], "1"))
    assert client._route.version == ("6" if is_known else "5")


def test_a_fork_of_a_process_with_channels_of_asyncio_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first use of gRPC would end the parent."""
    process = os.getpid()

    async def fork_while_open() -> None:
        async with AsyncTritonTagger("127.0.0.1:1", policy=Policy(deadline_s=0.1)) as client:
            with pytest.raises(ServerError, match="expected a Triton that answers"):
                await client.tag(["fix pump"])
            with monkeypatch.context() as forked:
                forked.setattr(os, "getpid", lambda: process + 1)
                refusal = f"got a fork of process {process}, where a client of asyncio was open"
                with pytest.raises(ServerError, match=refusal):
                    TritonTagger("127.0.0.1:1")
                with pytest.raises(ServerError, match=refusal):
                    sync._make(["x"], ENTITIES)

    sync = Front("127.0.0.1:1", Policy(), "tagger")
    asyncio.run(fork_while_open())
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert sync._make(["x"], ENTITIES).texts == ["x"], "it was closed"


def test_what_a_fork_did_not_wait_for_is_never_heard_of_in_the_child() -> None:
    """There time proves nothing: whoever would have heard of it is in the parent."""
    beside = Beside(is_waited_for=True)
    beside.heard(nothing, 0.2)  # counts for longer than a fork waits

    def is_idle_for_ever() -> bool:
        time.sleep(1.0)
        return beside.is_idle()

    assert not holds_in_a_child(is_idle_for_ever)
    assert wait_until(beside.is_idle, timeout_s=10), "it does, in the parent"


def test_a_fork_waits_for_nothing_that_the_forking_thread_would_hear() -> None:
    beside = Beside(is_waited_for=False)
    beside.heard(nothing, 10.0)
    waits = Beside(is_waited_for=True)
    assert waits in _WAITED_FOR
    assert beside not in _WAITED_FOR
    assert AsyncTritonTagger("a:1")._beside not in _WAITED_FOR
    assert Front("a:1", Policy(), "tagger")._beside in _WAITED_FOR

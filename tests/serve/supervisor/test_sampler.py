"""Tests the look at a server from outside, also at one that is slow."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.supervisor.resources import Usage
from serve.supervisor.sampler import Sample, Sampler, sample
from serve.triton.logs import MAX_BYTES
from serve.triton.names import ENCODER, MODEL, ModelVersion
from serve.triton.processes import wait_until
from serve.triton.state import ServerState
from tests.serve.fake_triton import fake_triton, proper_answer
from tests.serve.stand_in import note_of
from tests.serve.supervisor.test_figures import TEXT


@contextmanager
def metrics_page() -> Iterator[str]:
    """Serve metrics on a free port; yield the address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def state_at(url: str, metrics_url: str, folder: Path) -> ServerState:
    noted = note_of(folder / "triton.log", folder)
    return replace(noted, pid=os.getpid(), url=url, metrics_url=metrics_url)


def test_a_server_whose_model_is_late_still_gives_its_figures(tmp_path: Path) -> None:
    is_over = threading.Event()

    def hang(request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
        is_over.wait(10.0)
        return proper_answer(request)

    with fake_triton(hang) as url, metrics_page() as metrics_url:
        seen = sample(state_at(url, metrics_url, tmp_path))
        is_over.set()
    assert seen.graph is None
    assert seen.metrics == TEXT
    assert seen.figures is not None
    assert seen.figures.num_requests == 507


def test_what_a_server_does_not_tell_stays_empty_and_the_rest_is_told(tmp_path: Path) -> None:
    with fake_triton() as url:  # without an index of its versions, or metrics
        seen = sample(state_at(url, "127.0.0.1:9", tmp_path))
    assert seen.graph is not None
    assert seen.graph["file"] == "fake.onnx"
    assert (seen.versions, seen.metrics, seen.figures) == ((), "", None)


def test_all_processes_of_the_machine_are_gone_through_once_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand take a tenth of a second, for each replica."""
    num_scans = 0

    def scan() -> Iterator[tuple[int, list[str]]]:
        nonlocal num_scans
        num_scans += 1
        yield os.getpid(), ["--id=linetag-0123456789ab-"]

    monkeypatch.setattr("serve.triton.processes.command_lines", scan)
    seen = sample(state_at("127.0.0.1:9", "127.0.0.1:9", tmp_path))
    assert (seen.pids, num_scans) == ((os.getpid(),), 1)
    assert seen.usage.server_bytes > 0


def test_a_log_that_callers_fill_is_put_aside_and_its_server_writes_on(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    state = state_at("127.0.0.1:9", "127.0.0.1:9", tmp_path)
    with log.open("ab", buffering=0) as server:  # as Triton has it open: to append
        server.write(b"refused\n")
        sampler = Sampler(lambda: [state], 0.01)
        sampler.start()
        assert wait_until(lambda: state.prefix in sampler.samples, timeout_s=20.0)
        assert log.read_bytes() == b"refused\n"
        server.write(b"x" * MAX_BYTES)
        assert wait_until(lambda: log.stat().st_size == 0, timeout_s=20.0)
        server.write(b"refused again\n")
        sampler.stop()
    assert log.read_bytes() == b"refused again\n"
    assert (tmp_path / "triton.log.1").stat().st_size == MAX_BYTES + len(b"refused\n")


def test_a_metrics_port_that_answers_no_http_ends_no_sampler(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-other\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with fake_triton() as url:
            seen = sample(state_at(url, f"127.0.0.1:{server.getsockname()[1]}", tmp_path))
        thread.join()
    assert seen.graph is not None
    assert (seen.metrics, seen.figures) == ("", None)


def test_servers_are_looked_at_side_by_side(tmp_path: Path) -> None:
    """Each that is busy takes a second; what is seldom seen does not seem to move on."""
    have_met, waiting = threading.Event(), set[object]()

    def together(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        waiting.add(context)
        while context.is_active() and not have_met.wait(0.005):  # not for whom nobody waits
            if len(waiting) == 3:
                have_met.set()
        waiting.discard(context)
        return proper_answer(request)

    with fake_triton(together) as url:
        one = state_at(url, "127.0.0.1:9", tmp_path)
        states = [replace(one, prefix=f"linetag-0123456789a{letter}-") for letter in "abc"]
        sampler = Sampler(lambda: states, 0.01)
        sampler.start()
        assert have_met.wait(20.0)
        sampler.stop()


def test_no_look_ends_those_that_follow_whatever_it_meets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sound = state_at("127.0.0.1:9", "127.0.0.1:9", tmp_path)
    broken = replace(sound, prefix="linetag-0123456789ac-", url="127.0.0.1:8")
    num_looks = 0

    def servers() -> list[ServerState]:
        nonlocal num_looks
        num_looks += 1
        if num_looks in (2, 3):
            raise KeyError("nobody foresaw it")
        return [broken, sound]

    def seen(state: ServerState) -> Sample:
        if state is broken:
            raise TypeError("nor this")
        return Sample((num_looks,), Usage(0, 0, 0, 0))

    monkeypatch.setattr("serve.supervisor.sampler.sample", seen)
    sampler = Sampler(servers, 0.01)
    sampler.start()
    assert wait_until(lambda: num_looks > 8, timeout_s=20.0)
    sampler.stop()
    assert list(sampler.samples) == [sound.prefix]
    assert sampler.samples[sound.prefix].pids[0] > 7
    assert caplog.messages == [
        'sample_failed server=127.0.0.1:8 reason="nor this"',
        """sample_failed server="all servers" reason="'nobody foresaw it'\"""",
    ]


def test_versions_of_the_tagger_that_are_loaded_are_ready() -> None:
    states = [(MODEL, "1", "UNAVAILABLE"), (MODEL, "2", "READY"), (MODEL, "3", "LOADING")]
    listed = [ModelVersion(*state, "") for state in [*states, (ENCODER, "4", "READY")]]
    assert Sample((), Usage(0, 0, 0, 0), tuple(listed)).ready == {"2"}
    assert Sample((), Usage(0, 0, 0, 0)).ready == frozenset()

"""Tests reading a server's metrics, and passing them on."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.errors import ServerError
from serve.supervisor.figures import Figures
from serve.supervisor.life import Cause, Phase, Verdict
from serve.supervisor.metrics import MAX_CALLERS, export, exposition, labelled
from serve.supervisor.scrape import fetch, read_figures
from serve.triton.listening import HOST
from serve.triton.processes import wait_until
from tests.serve.supervisor.replicas import replica, supervised

NOW = "2026-01-01T00:00:00+00:00"
TEXT = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="tagger",version="1"} 602
nv_inference_request_success{model="tagger",version="2"} 8
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="tagger",reason="BACKEND",version="1"} 3
nv_inference_request_failure{model="tagger",reason="OTHER",version="1"} 4
# HELP nv_inference_count Number of inferences performed
# TYPE nv_inference_count counter
nv_inference_count{model="tagger",version="1"} 1204
# HELP nv_inference_exec_count Number of model executions performed
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{model="tagger",version="1"} 301
# HELP linetag_model_requests_total Callers' requests answered.
# TYPE linetag_model_requests_total counter
linetag_model_requests_total{model="tagger",version="1"} 500
linetag_model_requests_total{model="tagger",version="2"} 7
# HELP linetag_model_texts_total Texts tagged for callers.
# TYPE linetag_model_texts_total counter
linetag_model_texts_total{model="tagger",version="1"} 1000
# HELP linetag_model_batches_total Executions of the model for callers
# TYPE linetag_model_batches_total counter
linetag_model_batches_total{model="tagger",version="1"} 250
# HELP linetag_model_tokens_total Tokens that the graph ran, special ones included.
# TYPE linetag_model_tokens_total counter
linetag_model_tokens_total{model="tagger",version="1"} 9000
linetag_model_tokens_total{model="tagger",version="2"} 120
# HELP nv_inference_pending_request_count Instantaneous number of pending requests
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="tagger",version="1"} 5
# HELP nv_inference_request_summary_us Summary of inference request duration in microseconds
# TYPE nv_inference_request_summary_us summary
nv_inference_request_summary_us_count{model="tagger",version="1"} 602
nv_inference_request_summary_us{model="tagger",version="1",quantile="0.5"} 881
nv_inference_request_summary_us{model="tagger",version="1",quantile="0.99"} 9345
nv_inference_request_summary_us{model="tagger",version="2",quantile="0.5"} 900
nv_inference_request_summary_us{model="tagger",version="2",quantile="0.99"} nan
"""


def test_figures_are_callers_summed_over_versions_and_the_slower_latency_is_taken() -> None:
    assert read_figures(TEXT, at=7.0) == Figures(
        at=7.0,
        num_requests=507,
        num_failures=7,
        num_texts=1000,
        num_batches=250,
        num_pending=5,
        p50_ms=0.9,
        p99_ms=9.345,
        tokens={"1": 9000, "2": 120},
    )


def test_a_server_that_did_nothing_has_no_latency() -> None:
    figures = read_figures("", at=0.0)
    assert figures == Figures()
    assert figures.p50_ms is None


def test_what_is_no_metrics_is_told() -> None:
    with pytest.raises(ServerError, match="expected metrics in Prometheus' text format, got "):
        read_figures('broken{"', at=0.0)


@pytest.mark.parametrize("count", ["NaN", "+Inf"])
@pytest.mark.parametrize("name", ["linetag_model_requests_total", "linetag_model_tokens_total"])
def test_a_count_that_is_no_number_is_told(name: str, count: str) -> None:
    with pytest.raises(ServerError, match="expected metrics in Prometheus' text format, got "):
        read_figures(f'{name}{{version="1"}} {count}\n', at=0.0)


def test_a_server_that_gives_no_metrics_is_told() -> None:
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1: expected metrics, got "):
        fetch("127.0.0.1:1", timeout_s=1.0)


@pytest.mark.parametrize("num_sent", [0, len(TEXT) // 2])
def test_metrics_that_are_cut_short_are_none(num_sent: int) -> None:
    """Taken for whole they would look like counters that began anew."""
    with socket.create_server((HOST, 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(TEXT)}\r\n\r\n"
                caller.sendall((head + TEXT[:num_sent]).encode())

        answered = pool.submit(answer)
        message = f"expected {len(TEXT)} bytes of metrics, got {num_sent}"
        with pytest.raises(ServerError, match=message):
            fetch(f"{HOST}:{listener.getsockname()[1]}", timeout_s=20.0)
        answered.result()


def test_metrics_are_passed_on_with_a_label_and_one_family_together() -> None:
    other = TEXT.replace("602", "7") + "# TYPE alone gauge\nalone 1\n"
    passed_on = labelled({0: TEXT, 1: other})
    lines = passed_on.splitlines()
    name = "nv_inference_request_success"
    assert [line for line in lines if line.startswith(f"{name}{{")] == [
        f'{name}{{model="tagger",version="1",replica="0"}} 602',
        f'{name}{{model="tagger",version="2",replica="0"}} 8',
        f'{name}{{model="tagger",version="1",replica="1"}} 7',
        f'{name}{{model="tagger",version="2",replica="1"}} 8',
    ]
    assert sum(line.startswith(f"# TYPE {name} ") for line in lines) == 1
    assert 'alone{replica="1"} 1' in lines
    families = {family.name: family for family in text_string_to_metric_families(passed_on)}
    latencies = families["nv_inference_request_summary_us"].samples
    assert len(latencies) == 10
    assert sum(math.isnan(sample.value) for sample in latencies) == 2


def test_what_has_not_happened_yet_is_a_zero() -> None:
    """Prometheus sees no growth of what was not there before."""
    quiet = supervised(replica(0, Phase.READY, 10, NOW), now=NOW)
    lines = exposition(quiet, {}).splitlines()
    for name, kinds in {"restarts": Cause, "canaries": Verdict}.items():
        for kind in kinds:
            assert f'linetag_supervisor_{name}_total{{kind="{kind}",replica="0"}} 0.0' in lines


def test_what_has_happened_is_counted_beside_the_zeros() -> None:
    busy = replace(replica(0, Phase.READY, 10, NOW), restarts={"died": 2}, canaries={"right": 7})
    text = exposition(supervised(busy, now=NOW), {})
    assert 'linetag_supervisor_restarts_total{kind="died",replica="0"} 2.0' in text
    assert 'linetag_supervisor_canaries_total{kind="right",replica="0"} 7.0' in text
    assert 'linetag_supervisor_canaries_total{kind="wrong",replica="0"} 0.0' in text


def test_a_caller_that_hangs_up_costs_no_output_and_a_failure_goes_to_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    is_gone, is_failing = threading.Event(), threading.Event()

    def text() -> str:
        if is_failing.is_set():
            raise KeyError("a figure")
        is_gone.wait(20.0)
        return TEXT * 10_000

    address = export(text, 0)
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    is_gone.set()
    is_failing.set()
    with pytest.raises(ServerError, match="expected metrics"):
        fetch(address, timeout_s=20.0)
    assert wait_until(lambda: "metrics" in caplog.messages, timeout_s=20.0)
    assert capsys.readouterr().err == ""


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="needs IPv6")


@pytest.mark.parametrize("host", ["0.0.0.0", pytest.param("[::1]", marks=needs_ipv6)])
def test_metrics_listen_where_they_are_told_to(host: str) -> None:
    address = export(lambda: TEXT, 0, host)
    assert address.startswith(f"{host}:")
    assert fetch(address, timeout_s=20.0) == TEXT


@pytest.mark.parametrize("host", ["203.0.113.7", pytest.param("[fe80::1]", marks=needs_ipv6)])
def test_an_address_of_another_machine_is_refused_by_its_flag(host: str) -> None:
    message = re.escape(f"--metrics-listen {host}: expected an address of this machine, got ")
    with pytest.raises(ServerError, match=message):
        export(lambda: TEXT, 0, host)


def test_the_start_waits_for_no_name_of_where_metrics_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda name="": pytest.fail(f"asked for {name}"))
    assert fetch(export(lambda: TEXT, 0, "0.0.0.0"), timeout_s=20.0) == TEXT


def test_callers_that_say_nothing_make_room_for_a_scrape() -> None:
    address = export(lambda: TEXT, 0)
    host, port = address.split(":")
    with contextlib.ExitStack() as callers:
        for _ in range(3 * MAX_CALLERS):
            callers.enter_context(socket.create_connection((host, int(port))))
        for _ in range(MAX_CALLERS):
            assert fetch(address, timeout_s=20.0) == TEXT
        # Sooner than each of them would be let go of by itself, after five seconds.
        assert wait_until(lambda: num_answering() <= MAX_CALLERS, timeout_s=3.0)


def num_answering() -> int:
    """Return how many callers of a page have a thread."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())

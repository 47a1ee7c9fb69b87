"""Tests others' load generators: MLPerf's against a function, perf_analyzer's files, failures."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.load import analyzer, loadgen
from benchmarks.load.calls import Closed, Open
from serve.errors import ServerError

LINES = ["a", "b", "c"]


def slow(texts: Sequence[str]) -> None:
    assert len(texts) == 1
    assert texts[0] in LINES
    time.sleep(0.01)


def test_single_stream_asks_one_line_after_the_other() -> None:
    check = loadgen.single_stream(slow, LINES, seconds=0.3)
    assert (check.tool, check.load) == ("MLPerf loadgen SingleStream", "1 caller x 1 line")
    assert 10.0 <= check.p50_ms <= check.p90_ms <= check.p99_ms
    assert 1.0 < check.lines_per_s <= 100.0
    assert check.num_failures == 0


def test_server_asks_at_the_rate_however_slow_an_answer_is() -> None:
    asked, is_asked_again = itertools.count(), threading.Event()

    def held_up(texts: Sequence[str]) -> None:
        if next(asked):
            is_asked_again.set()
        elif not is_asked_again.wait(60.0):
            raise ServerError("asked one line after the other")
        slow(texts)

    check = loadgen.server(held_up, LINES, Open(200.0), seconds=0.5)
    assert (check.tool, check.load) == ("MLPerf loadgen Server", "200 arrivals/s")
    assert check.p50_ms >= 10.0
    assert check.num_failures == 0


def test_a_failure_does_not_pass_through_the_generator_but_is_counted() -> None:
    def fail(texts: Sequence[str]) -> None:
        raise ServerError("no")

    assert loadgen.single_stream(fail, LINES, seconds=0.1).num_failures > 10
    assert loadgen.server(fail, LINES, Open(100.0), seconds=0.2).num_failures > 3


HEAD = "Concurrency,Inferences/Second,Client Send,p50 latency,p90 latency,p95 latency,p99 latency"


def test_what_perf_analyzer_writes_is_read(tmp_path: Path) -> None:
    output = tmp_path / "output.csv"
    output.write_text(f"{HEAD}\n8,531.2,2,985,4026,7962,10292\n")
    check = analyzer.read_csv(output, Closed(8))
    assert (check.tool, check.load) == ("perf_analyzer", "8 callers x 1 line")
    assert check.lines_per_s == 531.2
    assert (check.p50_ms, check.p90_ms, check.p99_ms) == (0.985, 4.026, 10.292)


@pytest.mark.parametrize("content", [None, "", HEAD, f"{HEAD}\n8,x,2,1,1,1,1", "a,b\n1,2"])
def test_what_perf_analyzer_did_not_write_is_told(tmp_path: Path, content: str | None) -> None:
    output = tmp_path / "output.csv"
    if content is not None:
        output.write_text(content)
    with pytest.raises(ServerError, match="perf_analyzer: expected a row of figures, got "):
        analyzer.read_csv(output, Closed(8))


def test_perf_analyzer_that_is_not_there_or_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"none: expected perf_analyzer, .*\.venv-perf/ready"):
        analyzer.analyze(tmp_path / "none", "127.0.0.1:1", LINES, Closed(1))
    with pytest.raises(ServerError, match="false: expected stable figures, got exit status 1"):
        analyzer.analyze(Path("/bin/false"), "127.0.0.1:1", LINES, Closed(1))


def test_the_libraries_come_from_the_servers_wheel(tmp_path: Path) -> None:
    folder = analyzer.place_libraries(tmp_path / "lib", analyzer.ENVIRONMENT)
    assert sorted(path.name for path in folder.iterdir()) == ["libb64.so.0d", "libcudart.so.12"]
    assert all(path.resolve().is_file() for path in folder.iterdir())
    with pytest.raises(ServerError, match=r"expected libb64-\*\.so\.0d, got none; .*make setup"):
        analyzer.place_libraries(tmp_path / "other", tmp_path)

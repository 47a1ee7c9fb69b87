"""Owns asking with MLPerf's load generator: its SingleStream and its Server scenario.

SingleStream sends a line when the one before is answered; Server sends them as a Poisson process,
and counts latency from when a line was scheduled. The generator is C++ and calls back for each
line. Its rules on run length are not met here: runs are as short as our own rounds.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlperf_loadgen as mlperf

from benchmarks.load.calls import Closed, Open
from benchmarks.load.checks import Check
from benchmarks.load.loops import OPEN_THREADS, Ask

TOOL = "MLPerf loadgen"
_PREFIX = "mlperf_log_"
_MARK = ":::MLLOG"
_SAMPLES = 1024  # of the library: more than there are threads, so that lines vary


def single_stream(ask: Ask, lines: Sequence[str], *, seconds: float) -> Check:
    """Return what one caller sees, by MLPerf's clock."""
    failures: Counter[str] = Counter()
    answer = _Answering(ask, lines, failures)

    def issue(samples: Sequence[Any]) -> None:
        for sample in samples:
            answer(sample)

    log = _run("SingleStream", issue, seconds)
    return _check(log, f"{TOOL} SingleStream", str(Closed(1)), failures)


def server(ask: Ask, lines: Sequence[str], load: Open, *, seconds: float) -> Check:
    """Return what arrivals at a rate see, by MLPerf's clock."""
    failures: Counter[str] = Counter()
    with _threads(_Answering(ask, lines, failures)) as issue:
        log = _run("Server", issue, seconds, calls_per_s=load.calls_per_s)
    return _check(log, f"{TOOL} Server", str(load), failures)


class _Answering:
    """Asks about a sample's line and tells the generator that it is done, whatever came of it."""

    def __init__(self, ask: Ask, lines: Sequence[str], failures: Counter[str]) -> None:
        self._ask = ask
        self._lines = lines
        self._failures = failures

    def __call__(self, sample: Any) -> None:  # noqa: ANN401  the package has no types
        try:
            self._ask([self._lines[sample.index % len(self._lines)]])
        except Exception as error:  # nothing may pass through the generator's C++
            self._failures[type(error).__name__] += 1
        mlperf.QuerySamplesComplete([mlperf.QuerySampleResponse(sample.id, 0, 0)])


@contextmanager
def _threads(answer: Callable[[Any], None]) -> Iterator[Callable[[Sequence[Any]], None]]:
    """Give a function that hands samples to threads and returns at once."""
    samples: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        while (sample := samples.get()) is not None:
            answer(sample)

    threads = [threading.Thread(target=work) for _ in range(OPEN_THREADS)]
    for thread in threads:
        thread.start()

    def issue(issued: Sequence[Any]) -> None:
        for sample in issued:
            samples.put(sample)

    try:
        yield issue
    finally:
        for _ in threads:
            samples.put(None)
        for thread in threads:
            thread.join()


def _run(
    scenario: str,
    issue: Callable[[Sequence[Any]], None],
    seconds: float,
    *,
    calls_per_s: float = 1.0,
) -> dict[str, Any]:
    """Return the results in the generator's log."""
    settings = mlperf.TestSettings()
    settings.scenario = getattr(mlperf.TestScenario, scenario)
    settings.mode = mlperf.TestMode.PerformanceOnly
    settings.min_duration_ms = int(1000 * seconds)
    settings.max_duration_ms = int(2000 * seconds)
    settings.min_query_count = 1
    settings.server_target_qps = calls_per_s
    system = mlperf.ConstructSUT(issue, lambda: None)
    library = mlperf.ConstructQSL(_SAMPLES, _SAMPLES, lambda _: None, lambda _: None)
    try:
        with tempfile.TemporaryDirectory(prefix="linetag-mlperf-") as folder:
            mlperf.StartTestWithLogSettings(system, library, settings, _log_settings(folder))
            return read_log(Path(folder) / f"{_PREFIX}detail.txt")
    finally:
        mlperf.DestroyQSL(library)
        mlperf.DestroySUT(system)


def _log_settings(folder: str) -> Any:  # noqa: ANN401
    output = mlperf.LogOutputSettings()
    output.outdir = folder
    output.prefix = _PREFIX
    output.copy_summary_to_stdout = False
    settings = mlperf.LogSettings()
    settings.log_output = output
    settings.enable_trace = False
    return settings


def read_log(path: Path) -> dict[str, Any]:
    """Return the value of each key in a generator's log."""
    rows = path.read_text().splitlines()
    entries = [json.loads(row.partition(_MARK)[2]) for row in rows if row.startswith(_MARK)]
    return {entry["key"]: entry["value"] for entry in entries}


def _check(log: dict[str, Any], tool: str, load: str, failures: Counter[str]) -> Check:
    rate = log.get("result_completed_samples_per_sec") or log["result_qps_with_loadgen_overhead"]
    p50, p90, p99 = (
        log[f"result_{percent}.00_percentile_latency_ns"] / 1e6 for percent in (50, 90, 99)
    )
    return Check(
        tool=tool, load=load, lines_per_s=rate,
        p50_ms=p50, p90_ms=p90, p99_ms=p99, num_failures=failures.total(),
    )  # fmt: skip

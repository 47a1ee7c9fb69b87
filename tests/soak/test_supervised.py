"""Tests two supervised replicas under faults: killed, frozen and restarted, with callers all along.

No call may be lost or answered wrongly, and none may take long, see the bounds below.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

import pytest

from serve.client import TritonTagger
from serve.entities import AnyTagger
from serve.repository import publish
from serve.triton.processes import processes_of, wait_until
from tests.serve.tiny import noisy_lines
from tests.soak.conftest import Soak
from tests.soak.supervised import Callers, Supervised, calling, events, serve, supervised

pytestmark = [pytest.mark.triton, pytest.mark.slow]
SLOWEST_S = {"stub": 0.400, "server": 0.250}
ROLLING_SLOWEST_S = 0.300
HEALTHY_S = 5.0
FROZEN_S, OUT_S, EJECTED_S, READMITTED_S = 5.0, 2.0, 1.0, 2.0
LATE_S = 0.050
LINES = [line for line in noisy_lines(200, seed=11) if len(line) < 100]


@pytest.fixture(scope="module")
def pair(
    served_bundle: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    project = tmp_path_factory.mktemp("supervised")
    publish(served_bundle, project / "repository")
    with supervised(project / "repository", environment, project) as running:
        yield running


@pytest.fixture
def tagger(pair: Supervised) -> Iterator[TritonTagger]:
    with TritonTagger(pair.urls) as client:
        yield client


def nothing_lost_or_wrong(seen: Callers) -> None:
    assert seen.lost == []
    assert seen.wrong == []


def figures(seen: Callers) -> dict[str, object]:
    percentiles = quantiles(seen.durations_s, n=1000)
    return {
        "num_calls": len(seen.durations_s),
        "num_lost": len(seen.lost),
        "num_wrong": len(seen.wrong),
        "p50_ms": 1e3 * percentiles[499],
        "p99_ms": 1e3 * percentiles[989],
        "slowest_ms": 1e3 * seen.slowest_s(),
        "machine_late_ms": 1e3 * seen.late_s,
    }


@pytest.mark.parametrize("victim", ["stub", "server"])
def test_a_killed_process_costs_nobody_an_answer(
    pair: Supervised, tagger: TritonTagger, embedded: AnyTagger, soak: Soak, victim: str
) -> None:
    recoveries_s = []
    with calling(tagger, embedded, LINES) as seen:
        for kill in range(soak.size(small=5, large=100)):
            pair.until_stable()
            number = kill % 2
            before = pair.state(number)
            os.kill(pair.stub(number) if victim == "stub" else before.pid, signal.SIGKILL)
            recoveries_s.append(pair.until_back(number, before, timeout_s=HEALTHY_S))
    soak.record(
        f"kill-{victim}",
        num_kills=len(recoveries_s),
        slowest_recovery_s=max(recoveries_s),
        **figures(seen),
    )
    nothing_lost_or_wrong(seen)
    assert seen.slowest_s() <= SLOWEST_S[victim] + seen.allowed_s


def test_a_frozen_server_is_left_out_replaced_and_taken_back(
    pair: Supervised, tagger: TritonTagger, embedded: AnyTagger, soak: Soak
) -> None:
    deadline_s, times = tagger.policy.deadline_s, []
    with calling(tagger, embedded, LINES) as seen, events() as told:
        for freeze in range(soak.size(small=3, large=20)):
            pair.until_stable()
            number = freeze % 2
            url, before = pair.urls[number], pair.state(number)
            pids = processes_of(before.prefix)
            first, began = len(told), time.monotonic()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            assert wait_until(lambda n=number: not pair.replica(n).is_ready, timeout_s=OUT_S + 0.3)
            out_s = time.monotonic() - began
            pair.until_back(number, before, timeout_s=FROZEN_S)
            back = time.monotonic()
            assert wait_until(
                lambda f=first, u=url: any(e[1:] == ("readmitted", u) for e in told[f:]),
                timeout_s=READMITTED_S,
            )
            ejected_s = next(at for at, *event in told[first:] if event == ["ejected", url]) - began
            times.append((out_s, ejected_s, time.monotonic() - back))
    soak.record(
        "freeze",
        num_freezes=len(times),
        slowest_out_s=max(t[0] for t in times),
        slowest_ejected_s=max(t[1] for t in times),
        slowest_readmitted_s=max(t[2] for t in times),
        **figures(seen),
    )
    nothing_lost_or_wrong(seen)
    assert seen.slowest_s() <= deadline_s + LATE_S + seen.allowed_s
    assert max(out_s for out_s, _, _ in times) <= OUT_S + seen.allowed_s
    assert max(ejected_s for _, ejected_s, _ in times) <= EJECTED_S + seen.allowed_s


def test_a_rolling_restart_costs_nobody_an_answer(
    pair: Supervised, tagger: TritonTagger, embedded: AnyTagger, soak: Soak
) -> None:
    num_restarts = soak.size(small=5, large=50)
    with calling(tagger, embedded, LINES) as seen:
        pair.until_stable()
        for _ in range(num_restarts):  # what was asked for is nobody's failure
            before = [pair.state(number) for number in range(2)]
            with serve("restart", project=pair.project) as verb:
                _, told = verb.communicate(timeout=60)
            assert verb.returncode == 0, told
            assert told.split("\n")[:2] == ["replica 0 answers again", "replica 1 answers again"]
            for number in range(2):
                pair.until_back(number, before[number], timeout_s=0.0)
    soak.record("rolling-restart", num_restarts=num_restarts, **figures(seen))
    nothing_lost_or_wrong(seen)
    assert seen.slowest_s() <= ROLLING_SLOWEST_S + seen.allowed_s

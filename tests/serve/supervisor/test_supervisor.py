"""Tests what the supervisor looks at before it ends a server on purpose; no server runs here."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.supervisor.canary import Result
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.life import Action, Life, Phase, Verdict
from serve.supervisor.patience import Patience
from serve.supervisor.replica import _ACTIONS, Replica
from serve.supervisor.report import report
from serve.supervisor.resources import Usage
from serve.supervisor.sampler import Sample
from serve.supervisor.scrape import MAX_BYTES
from serve.supervisor.supervisor import Supervisor
from serve.triton.listening import Exposure
from serve.triton.names import ModelVersion
from serve.triton.processes import start_ticks
from serve.triton.tls import TlsFiles
from tests.serve.stand_in import note_of


@pytest.mark.triton
def test_a_server_that_answers_is_not_ended_while_its_files_of_tls_would_not_do(
    repository: Path, environment: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = TlsFiles(*(tmp_path / name for name in ("ca.pem", "server.pem", "server.key")))
    patience, exposure = Patience(settle_s=0.0), Exposure(tls=tls)
    config = SupervisorConfig(
        repository, environment, tmp_path / "t", exposure=exposure, patience=patience
    )
    supervisor = Supervisor(config)
    (replica,) = supervisor.replicas
    replica.life = Life(phase=Phase.READY)
    caplog.set_level(logging.ERROR, logger="serve")
    for now in (1.0, 2.0):
        supervisor.restart_all()
        supervisor._roll(now)
    assert replica.life.phase is Phase.READY
    refused = [record.message for record in caplog.records if "restart_refused" in record.message]
    assert len(refused) == 1
    assert "ca.pem: expected a readable file" in refused[0]


@pytest.mark.triton
@pytest.mark.parametrize(
    "trouble",
    [
        OSError(30, "Read-only file system"),
        RuntimeError("can't start new thread"),
        ServerError("expected no process of linetag-0123, got [7]; kill them"),
    ],
)
def test_a_replica_whose_look_fails_keeps_nobody_from_looking_at_the_others(
    repository: Path,
    environment: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
) -> None:
    config = SupervisorConfig(repository, environment, tmp_path / "t", num_replicas=2)
    supervisor = Supervisor(config)
    looks: list[float] = []

    class Broken:
        number, life = 0, Life(phase=Phase.READY)

        def look(self, now: float) -> None:
            raise trouble

        def end(self) -> None:
            raise trouble

    class Sound:
        number, state, life = 1, None, Life(phase=Phase.READY)

        def look(self, now: float) -> None:
            looks.append(now)

        def end(self) -> None:
            looks.append(-1.0)

    supervisor.replicas = [Broken(), Sound()]
    caplog.set_level(logging.ERROR, logger="serve")
    for now in (1.0, 2.0):
        supervisor._look(now)
    supervisor.kill()
    assert looks == [1.0, 2.0, -1.0]
    told = [record.message for record in caplog.records if "look_failed" in record.message]
    assert len(told) == 1
    assert str(trouble) in told[0]


@pytest.mark.triton
def test_a_replica_that_needs_much_from_the_start_is_not_restarted_for_it_again_and_again(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    (replica,) = supervisor.replicas
    replica.state, replica.life = note_of(tmp_path / "log", repository), Life(phase=Phase.READY)
    sample = Sample((), Usage(0, 0, 900, 1000))
    settled = Life(phase=Phase.READY)

    def asked(now: float) -> tuple[int, str] | None:
        supervisor._weigh(replica, sample, now)
        return supervisor._rolling.next({0: settled}, now, supervisor.config.patience)

    growth_s = supervisor.config.patience.growth_s
    assert asked(growth_s - 1.0) is None, "it would need as much again"
    number, reason = asked(growth_s) or (None, "")
    assert number == 0
    assert "expected at most 800 of the 1,000 that are allowed, got 900" in reason
    sample = Sample((), Usage(0, 0, 10, 1000), metrics="x" * MAX_BYTES)
    assert asked(growth_s) == (0, "metrics: expected at most 500,000 characters, got 1,000,000")


@pytest.mark.triton
def test_how_things_are_is_told_without_a_descriptor_left(
    repository: Path, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    status = report(supervisor, started=datetime.now(UTC), start_ticks=7, metrics_url=None)
    assert (status.start_ticks, len(status.replicas)) == (7, 1)


@pytest.mark.triton
def test_only_a_replica_that_answers_just_now_has_a_canary_and_a_version(
    repository: Path, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    (replica,) = supervisor.replicas
    ticks = start_ticks(os.getpid()) or 0
    noted = note_of(tmp_path / "log", repository)
    replica.state = replace(noted, pid=os.getpid(), start_ticks=ticks)
    replica.life = Life(phase=Phase.STARTING)
    right = Result(Verdict.RIGHT, latency_s=0.003, version="7", triton="2.51.0")
    came = iter([right, Result(Verdict.SILENT, is_busy=True), right, None, right])
    monkeypatch.setattr(replica, "_ask", lambda state, now: next(came))
    monkeypatch.setitem(_ACTIONS, Action.DRAIN, lambda replica: None)

    def told() -> tuple[Phase, float | None, str]:
        status = report(supervisor, started=datetime.now(UTC), start_ticks=7, metrics_url=None)
        assert status.triton == "2.51.0", "that is known, whatever a replica is doing"
        (one,) = status.replicas
        return one.phase, one.canary_ms, one.version

    seen = []
    for now in (1.0, 2.0, 3.0, 3.5):
        replica.look(now)
        seen.append(told())
    answering = (Phase.READY, 3.0, "7")
    assert seen == [answering, (Phase.READY, None, ""), answering, answering]
    replica.restart("asked to restart", 4.0)
    assert told() == (Phase.DRAINING, None, "")


@pytest.mark.triton
@pytest.mark.parametrize("num_ends", [4, 5])
def test_a_replica_that_ends_again_and_again_is_told_although_it_serves_just_now(
    repository: Path, environment: Path, tmp_path: Path, num_ends: int
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    (replica,) = supervisor.replicas
    ends = (time.monotonic(),) * num_ends
    replica.life = Life(phase=Phase.READY, ends=ends, reason="killed by SIGSEGV")
    status = report(supervisor, started=datetime.now(UTC), start_ticks=7, metrics_url=None)
    told = f"replica 0 ended 5 times within 120 s, last: killed by SIGSEGV; see {replica.folder}"
    assert status.warnings == ((told,) if num_ends == 5 else ())


@pytest.mark.triton
def test_a_version_that_fails_beside_one_that_answers_is_told_with_its_cure_and_logged_once(
    repository: Path,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    (replica,) = supervisor.replicas
    ticks = start_ticks(os.getpid()) or 0
    replica.state = replace(note_of(tmp_path / "log", repository), pid=os.getpid())
    replica.state = replace(replica.state, start_ticks=ticks)
    replica.life = Life(phase=Phase.READY)
    right = Result(Verdict.RIGHT, latency_s=0.003, version="1", triton="2.51.0")
    monkeypatch.setattr(replica, "_ask", lambda state, now: right)
    monkeypatch.setattr(Replica, "failing", {"2": "indices out of bounds"})
    for now in (1.0, 2.0):
        replica.look(now)
    assert replica.life.phase is Phase.READY
    status = report(supervisor, started=datetime.now(UTC), start_ticks=7, metrics_url=None)
    assert status.warnings[-1] == (
        "replica 0 answers, but not with version 2: indices out of bounds; "
        "python -m serve rollback takes it from all callers"
    )
    assert sum("version_failing" in record.getMessage() for record in caplog.records) == 1
    assert replica.canaries == {Verdict.RIGHT: 2, Verdict.FAILED: 2}


class Tried:
    """A replica whose start fails again and again, or that serves."""

    number, folder, state = 0, Path("replica-0"), None

    def __init__(self) -> None:
        self.life = Life(phase=Phase.READY)

    def look(self, now: float) -> None:
        pass

    def fail(self) -> None:
        self.life = Life(phase=Phase.WAITING, num_in_vain=5, failures=(0.0,), reason="disk full")


@pytest.mark.triton
@pytest.mark.parametrize(
    ("served_s", "tried_s"), [(0.0, 0.0), (60.0, 60.0), (1e7, Patience.outage_s)]
)
def test_what_served_for_long_is_tried_for_as_long_before_it_is_given_up(
    repository: Path,
    environment: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    served_s: float,
    tried_s: float,
) -> None:
    """Nothing starts a supervisor that gave up, and a full disk may pass overnight."""
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    replica = Tried()
    supervisor.replicas = [replica]
    caplog.set_level(logging.ERROR, logger="serve")

    def look(now: float) -> None:
        supervisor._look(now)
        supervisor._give_up(now)

    for now in (1000.0, 1000.0 + served_s):
        look(now)
    replica.fail()
    if tried_s:
        for later in (1.0, tried_s - 1.0):
            look(1000.0 + served_s + later)
        told = [r.message for r in caplog.records if "all_failing" in r.message]
        assert len(told) == 1
        assert f"tried for {tried_s:.0f} s after 5 failures: disk full" in told[0]
    with pytest.raises(ServerError, match="gave up after 5 failures: disk full; see replica-0"):
        look(1000.0 + served_s + tried_s)


@pytest.mark.triton
def test_one_that_fails_beside_one_that_serves_is_no_reason_to_give_up(
    repository: Path, environment: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    down, up = Tried(), Tried()
    supervisor.replicas = [down, up]
    supervisor._look(1000.0)
    down.fail()
    caplog.set_level(logging.ERROR, logger="serve")
    for now in (1001.0, 1000.0 + 1e7):
        supervisor._look(now)
        supervisor._give_up(now)
    assert caplog.messages == []


@pytest.mark.triton
def test_a_start_that_never_worked_is_given_up_at_its_first_failure(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    replica = Tried()
    replica.life = Life(phase=Phase.ENDING, failures=(1.0,), reason="no memory")
    supervisor.replicas = [replica]
    supervisor._look(1.0)
    with pytest.raises(ServerError, match="expected Triton to start, got no memory"):
        supervisor._give_up(1.0)


@pytest.mark.triton
def test_a_restart_is_no_longer_wanted_once_the_command_that_asked_has_failed(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    config = SupervisorConfig(repository, environment, tmp_path / "t", num_replicas=2)
    supervisor = Supervisor(config)
    first, second = supervisor.replicas
    first.life = Life(phase=Phase.READY)
    supervisor.restart_all()
    for now in (1.0, 151.1):  # the other is down
        supervisor._roll(now)
    second.life = Life(phase=Phase.READY)
    supervisor._roll(86_400.0)
    assert first.life.phase is Phase.READY


@pytest.mark.triton
def test_a_server_that_answers_old_connections_only_is_told_after_a_minute(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    supervisor = Supervisor(SupervisorConfig(repository, environment, tmp_path / "t"))
    (replica,) = supervisor.replicas
    replica.life = Life(phase=Phase.READY)
    silent = Sample((), Usage(0, 0, 0, 0))

    def told(at: float, sample: Sample) -> str:
        replica.watch(sample, at)
        now = datetime.now(UTC)
        return "".join(report(supervisor, started=now, start_ticks=7, metrics_url=None).warnings)

    long_ago = time.monotonic() - 61.0
    assert told(long_ago + 61.0, silent) == "", "the first look at it"
    replica.silent_since = None
    for at in (long_ago, long_ago + 60.0):
        assert told(at, silent).startswith("replica 0 has answered no new connection for 6")
    listed = (ModelVersion("tagger", "1", "READY", ""),)
    assert told(long_ago + 61.0, replace(silent, versions=listed)) == ""

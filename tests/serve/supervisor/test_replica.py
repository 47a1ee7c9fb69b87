"""Tests what a replica makes of what it finds when it looks at its server."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from serve.repository import publish, versions
from serve.supervisor.answers import KnownAnswers
from serve.supervisor.canary import Canary
from serve.supervisor.figures import Figures
from serve.supervisor.life import Life, Phase, Verdict
from serve.supervisor.patience import Patience
from serve.supervisor.replica import Replica, _signal_name
from serve.supervisor.resources import Usage
from serve.supervisor.sampler import Sample
from serve.triton.installation import STUB, Installation
from serve.triton.launch import LOG, Order
from serve.triton.listening import Ports
from serve.triton.names import MODEL, ModelVersion
from serve.triton.processes import adopt_orphans, processes_of, start_ticks, wait_until
from serve.triton.state import ServerState
from tests.serve.stand_in import note_of


def test_files_of_tls_that_cannot_be_read_fail_a_start_and_no_supervisor(tmp_path: Path) -> None:
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    replica.life = Life(phase=Phase.STARTING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        replica.state = ServerState(
            pid=os.getpid(),
            start_ticks=start_ticks(os.getpid()) or 0,
            prefix="linetag-00000000-",
            url=f"127.0.0.1:{server.getsockname()[1]}",
            http_url=None,
            metrics_url="127.0.0.1:1",
            repository="r",
            log=str(tmp_path / "log"),
            started="2026-01-01T00:00:00+00:00",
            tls=tuple(str(tmp_path / name) for name in ("ca.pem", "server.pem", "server.key")),
        )
        replica.look(1.0)
    assert replica.life.phase is Phase.STARTING
    assert replica.canaries == {Verdict.FAILED: 1}


def test_a_start_asks_each_version_that_callers_get_and_not_the_newest_alone(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one on trial that fails would keep its servers from ever being ready again."""
    repository = tmp_path / "repository"
    for _ in range(2):
        publish(bundle, repository, share=0.5)
    asked: list[str] = []
    monkeypatch.setattr(Canary, "ask", lambda self, versions: asked.extend(versions))
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), repository, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(repository, tmp_path), Patience())
    replica.life = Life(phase=Phase.STARTING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"127.0.0.1:{server.getsockname()[1]}"
        noted = replace(note_of(tmp_path / "log", repository), url=url, pid=os.getpid())
        replica.state = replace(noted, start_ticks=start_ticks(os.getpid()) or 0)
        replica.look(1.0)
        replica._forget_canary()
    assert asked == ["1", "2"]


def test_a_stub_that_ended_lets_the_next_canary_follow_at_once(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried: list[Canary] = []
    monkeypatch.setattr(Canary, "hurry", lambda canary: hurried.append(canary))
    repository = tmp_path / "repository"
    publish(bundle, repository)
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), repository, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(repository, tmp_path), Patience())
    replica.life = Life(phase=Phase.READY)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stub,
    ):
        url = f"127.0.0.1:{server.getsockname()[1]}"
        noted = replace(note_of(tmp_path / "log", repository), url=url, pid=os.getpid())
        replica.state = replace(noted, start_ticks=start_ticks(os.getpid()) or 0)
        replica.watch(Sample((stub.pid,), Usage(0, 0, 0, 0), ()), 1.0)
        nums = []
        for now in (1.1, 1.2, 1.3):
            replica.look(now)
            nums.append(len(hurried))
            stub.kill()
            stub.wait()
        replica._forget_canary()
    assert nums == [0, 1, 1], "once"


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_server_is_started_again_without_what_somebody_put_beside_its_versions(
    bundle: Path, tmp_path: Path, is_readable: bool
) -> None:
    """Triton waits for an empty folder with a number, and never becomes ready."""
    repository = tmp_path / "repository"
    publish(bundle, repository)
    (repository / "tagger" / "7").mkdir()
    if not is_readable:
        (repository / "history.jsonl").write_text("damaged\n")
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), repository, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(repository, tmp_path), Patience())
    replica.look(1.0)
    assert replica.life.phase is Phase.STARTING
    assert versions(repository) == ([1] if is_readable else [1, 7])
    replica.end()


@pytest.mark.parametrize("is_asked", [True, False])
def test_an_end_that_was_asked_for_during_a_start_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_asked: bool
) -> None:
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    replica.life = Life(phase=Phase.STARTING, reason="killed by SIGKILL")  # the start before
    caplog.set_level(logging.INFO, logger="serve")
    if is_asked:
        replica.stop(1.0)
    else:
        replica.look(1.0)  # and finds no process
    assert replica.life.phase is Phase.ENDING
    (record,) = [r for r in caplog.records if r.message.startswith("replica_ending")]
    assert record.levelno == (logging.INFO if is_asked else logging.ERROR)
    assert ("reason=" in record.message) is not is_asked


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("terminate called\n  what():  no temporary directory\n", ": no temporary directory"),
        (" 7# 0x00005618C5E9DEF5 in tritonserver\n", ""),
    ],
    ids=["exception", "abort"],
)
def test_a_server_that_aborts_is_told_with_its_last_words(
    tmp_path: Path, log: str, words: str
) -> None:
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    replica.life = Life(phase=Phase.STARTING)
    replica.folder.mkdir(exist_ok=True)
    (replica.folder / LOG).write_text(log)
    command = [sys.executable, "-c", "import os; os.abort()"]
    pid = os.posix_spawn(command[0], command, os.environ, setsid=True)
    noted = note_of(tmp_path / "log", tmp_path)
    replica.state = replace(noted, pid=pid, start_ticks=start_ticks(pid) or 0)
    assert wait_until(lambda: start_ticks(pid) is None, timeout_s=20.0)
    replica.look(1.0)
    assert replica.life.reason == f"killed by SIGABRT{words}"


_WITH_STUB = """
import subprocess, sys, time
prefix = sys.argv[1].removeprefix("--id=")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", prefix + "stub"])
time.sleep(600)
"""


def test_a_start_that_fails_leaves_no_zombie_of_the_stub_that_nobody_had_seen(
    tmp_path: Path,
) -> None:
    adopt_orphans()
    prefix = "linetag-00000000-"
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    command = [sys.executable, "-c", _WITH_STUB, f"--id={prefix}"]
    pid = os.posix_spawn(command[0], command, os.environ, setsid=True)
    assert wait_until(lambda: len(processes_of(prefix)) == 2, timeout_s=20.0)
    pids = processes_of(prefix)
    noted = note_of(tmp_path / "log", tmp_path)
    replica.state = replace(noted, pid=pid, start_ticks=start_ticks(pid) or 0, prefix=prefix)
    replica.life = Life(phase=Phase.STARTING)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: start_ticks(pid) is None, timeout_s=20.0)
    replica.look(1.0)
    assert wait_until(lambda: not any(map(start_ticks, pids)), timeout_s=20.0)
    replica.look(1.1)
    assert replica.life.phase is Phase.WAITING
    with pytest.raises(ChildProcessError):
        os.waitpid(-pid, os.WNOHANG)


def test_every_signal_that_ends_a_server_can_be_told() -> None:
    assert _signal_name(signal.SIGKILL) == "SIGKILL"
    assert _signal_name(40) == "signal 40"


def test_a_server_is_started_again_although_its_metrics_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = Ports(1, None, listener.getsockname()[1])
        order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, ports)
        replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
        replica.look(1.0)
    assert replica.order.ports.metrics not in (None, ports.metrics)
    assert replica.order.ports.grpc == ports.grpc
    replica.end()


def test_a_stub_that_went_with_an_environment_is_put_back_before_a_start(tmp_path: Path) -> None:
    installation = Installation(tmp_path, tmp_path, "3.11", "")
    for path in (installation.server, tmp_path / "python_backend_stubs" / "3.11" / STUB):
        path.parent.mkdir(parents=True)
        path.touch()
    (installation.backends / "python").mkdir(parents=True)
    order = Order(installation, tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    replica.look(1.0)
    assert (installation.backends / "python" / STUB).exists()
    replica.end()


def test_the_memory_of_a_server_is_not_counted_from_that_of_the_one_before(tmp_path: Path) -> None:
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())
    replica.ready_memory.note(Usage(1_000, 300, 0, 0), [])
    assert replica.ready_memory.num_bytes == 1_000
    replica.look(1.0)
    assert replica.life.phase is Phase.STARTING
    replica.ready_memory.note(Usage(1_800, 950, 0, 0), [])
    assert replica.ready_memory.num_bytes == 1_800
    replica.end()


def test_a_version_that_was_unloaded_holds_up_no_progress(tmp_path: Path) -> None:
    """Its figures stand still: a server busy with long texts would be taken for one that hangs."""
    order = Order(Installation(tmp_path, tmp_path, "3.11", ""), tmp_path, Ports(1, None, 2))
    replica = Replica(0, order, tmp_path, KnownAnswers(tmp_path, tmp_path), Patience())

    def look(now: float, states: dict[str, str], tokens: dict[str, int]) -> float:
        versions = [ModelVersion(MODEL, version, state, "") for version, state in states.items()]
        usage = Usage(0, 0, 0, 0)
        figures = Figures(tokens=tokens)
        replica.watch(Sample((), usage, tuple(versions), figures=figures), now)
        return replica._progress.moved

    assert look(1.0, {"1": "READY"}, {"1": 10}) == 1.0
    assert look(2.0, {"1": "READY", "2": "READY"}, {"1": 20, "2": 5}) == 2.0
    assert look(3.0, {"1": "READY", "2": "READY"}, {"1": 20, "2": 9}) == 2.0, "one that hangs"
    assert look(4.0, {"1": "UNAVAILABLE", "2": "READY"}, {"1": 20, "2": 12}) == 4.0
    assert look(5.0, {}, {"1": 20, "2": 15}) == 5.0, "it did not say which it has"

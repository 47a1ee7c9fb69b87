"""Tests what a request to restart the servers waits for; the test plays the supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve.errors import BundleError, ServerError
from serve.repository import publish
from serve.supervisor.control import RESTART, restart_service, sole, stop_service
from serve.supervisor.health import read_health
from serve.supervisor.life import Phase
from serve.supervisor.status import STATUS, write_status
from serve.triton.processes import start_ticks, wait_until
from serve.triton.state import ServerState, write_state
from tests.serve.supervisor.replicas import replica, supervised

ROOT = Path(__file__).resolve().parents[3]


def tell(folder: Path, *replicas: tuple[Phase, int]) -> None:
    """Write the status of this process: each replica's phase and process."""
    now = datetime.now(UTC).isoformat()
    told = [replica(number, *how, now) for number, how in enumerate(replicas)]
    pid = os.getpid()
    status = supervised(*told, now=now, pid=pid, start_ticks=start_ticks(pid) or 0)
    write_status(folder, status)


@contextmanager
def when_asked(folder: Path, *replicas: tuple[Phase, int]) -> Iterator[None]:
    """Tell what became of the replicas once a restart is asked for."""
    before = signal.signal(RESTART, lambda number, frame: tell(folder, *replicas))
    try:
        with sole(folder):
            yield
    finally:
        signal.signal(RESTART, before)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.ENDING, Phase.WAITING])
def test_a_replica_that_is_down_when_a_restart_is_asked_for_is_not_restarted_once_more(
    tmp_path: Path, phase: Phase
) -> None:
    """The supervisor leaves it out, and whether its process is another one says nothing."""
    tell(tmp_path, (Phase.READY, 10), (phase, 20))
    with when_asked(tmp_path, (Phase.READY, 11), (Phase.READY, 20)):
        assert list(restart_service(tmp_path)) == [0, 1]


_STARTING = """
import sys, time
from pathlib import Path
from serve.supervisor.control import sole
from serve.supervisor.life import Phase
from tests.serve.supervisor.test_restart import tell
folder = Path(sys.argv[1])
with sole(folder):
    (folder / "holds").touch()
    time.sleep(0.5)
    tell(folder, (Phase.STARTING, 1))
    time.sleep(600)
"""


@pytest.fixture
def asked() -> Iterator[list[int]]:
    """Return the requests to restart that came."""
    came: list[int] = []
    before = signal.signal(RESTART, lambda number, frame: came.append(number))
    yield came
    signal.signal(RESTART, before)


def note(folder: Path, repository: Path, tls: tuple[str, ...] = (), pid: int = 0) -> None:
    """Leave the note of a server that runs."""
    (folder / "replica-0").mkdir()
    state = ServerState(
        pid=pid or os.getpid(),
        start_ticks=start_ticks(pid or os.getpid()) or 0,
        prefix="linetag-00000000-",
        url="u",
        http_url=None,
        metrics_url="127.0.0.1:1",
        repository=str(repository),
        log=str(folder / "replica-0" / "log"),
        started="2026-01-01T00:00:00+00:00",
        tls=tls,
    )
    write_state(folder / "replica-0", state)


def test_servers_whose_files_of_tls_would_not_do_are_not_asked_to_restart(
    tmp_path: Path, asked: list[int]
) -> None:
    tell(tmp_path, (Phase.READY, 10))
    note(tmp_path, tmp_path, tuple(str(tmp_path / name) for name in ("ca", "cert", "key")))
    with (
        sole(tmp_path),
        pytest.raises(ServerError, match=r"/ca: expected a readable file, got No such file"),
    ):
        next(restart_service(tmp_path))
    assert asked == []


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(1, "replace it with python -m serve publish --promote"), (2, "python -m serve rollback")],
)
def test_servers_whose_version_was_damaged_are_not_asked_to_restart(
    tmp_path: Path, bundle: Path, asked: list[int], version: int, remedy: str
) -> None:
    repository, folder = tmp_path / "repository", tmp_path / "triton"
    publish(bundle, repository)
    publish(bundle, repository, share=0.5)
    (repository / "tagger" / str(version) / "labels.json").write_text("{}")
    folder.mkdir()
    tell(folder, (Phase.READY, 10))
    note(folder, repository)
    with (
        sole(folder),
        pytest.raises(BundleError, match=rf"/{version}: expected a sound version, .*{remedy}"),
    ):
        next(restart_service(folder))
    assert asked == []


def test_servers_whose_triton_is_gone_are_not_asked_to_restart(
    tmp_path: Path, asked: list[int]
) -> None:
    tell(tmp_path, (Phase.READY, 10))
    environment = tmp_path / "venv"
    program = environment / "lib/python3.11/site-packages/pytriton/tritonserver/bin/tritonserver"
    command = [str(program), "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, executable=sys.executable) as server:
        try:
            note(tmp_path, tmp_path, pid=server.pid)
            gone = f"{environment}/bin/python: expected a Python that runs, got .*; make it with"
            with sole(tmp_path), pytest.raises(ServerError, match=gone):
                next(restart_service(tmp_path))
        finally:
            server.kill()
    assert asked == []


def test_a_program_whose_supervisor_failed_is_sent_no_signal(
    tmp_path: Path, asked: list[int]
) -> None:
    """It would end it; the status tells of a process that lives."""
    tell(tmp_path, (Phase.READY, 10))
    with pytest.raises(ServerError, match="expected a supervisor, got none; python -m serve start"):
        next(restart_service(tmp_path))
    assert asked == []


def as_another_release(folder: Path) -> None:
    """Let the status have keys that this release does not know, and lack one that it does."""
    told = json.loads((folder / STATUS).read_text())
    for row in (told, *told["replicas"]):
        row["new"] = 1
    del told["triton"], told["replicas"][0]["usage"]
    (folder / STATUS).write_text(json.dumps(told))


def test_a_supervisor_of_another_release_is_asked_to_restart_and_awaited(tmp_path: Path) -> None:
    def answer(number: int, frame: object) -> None:
        tell(tmp_path, (Phase.READY, 11))
        as_another_release(tmp_path)

    tell(tmp_path, (Phase.READY, 10))
    as_another_release(tmp_path)
    before = signal.signal(RESTART, answer)
    try:
        with sole(tmp_path):
            assert list(restart_service(tmp_path)) == [0]
            with pytest.raises(
                ServerError, match=r"of this release, got .*\['new', 'triton'\].*stop"
            ):
                read_health(tmp_path)
            with (
                pytest.raises(ServerError, match=rf"got process {os.getpid()}; stop it first"),
                sole(tmp_path),
            ):
                raise AssertionError
    finally:
        signal.signal(RESTART, before)


def test_a_supervisor_of_another_release_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTING, str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        try:
            assert wait_until((tmp_path / STATUS).exists, timeout_s=20.0)
            as_another_release(tmp_path)
            assert stop_service(tmp_path, patience_s=20.0)
        finally:
            process.terminate()
    assert process.returncode == -signal.SIGTERM
    assert not (tmp_path / STATUS).exists()


def restarted(folder: Path) -> None:
    list(restart_service(folder))


def stopped(folder: Path) -> None:
    stop_service(folder, patience_s=1.0)


@pytest.mark.parametrize("ask", [restarted, stopped])
def test_a_supervisor_of_another_user_is_told_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Path], None]
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    tell(tmp_path, (Phase.READY, 10))
    monkeypatch.setattr(os, "kill", refuse)
    told = r"got one of user \d+; do this as the user who started it"
    with sole(tmp_path), pytest.raises(ServerError, match=told):
        ask(tmp_path)


def test_a_supervisor_that_has_only_just_started_is_waited_for_and_stopped(tmp_path: Path) -> None:
    """It holds the folder, settles the repository, places the stub, and then tells its process."""
    command, is_held = [sys.executable, "-c", _STARTING, str(tmp_path)], tmp_path / "holds"
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        try:
            assert wait_until(is_held.exists, timeout_s=20.0)
            assert stop_service(tmp_path, patience_s=20.0)
        finally:
            process.terminate()
    assert process.returncode == -signal.SIGTERM

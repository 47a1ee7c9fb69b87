"""Tests a supervisor with a real Triton that falls sick in ways that need more than a restart."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.client import Policy, TritonTagger
from serve.errors import ServerError
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.control import LOG
from serve.supervisor.figures import Figures
from serve.supervisor.health import read_health
from serve.supervisor.patience import Patience
from serve.supervisor.service import run_service
from serve.supervisor.status import ReplicaStatus, SupervisorStatus, read_status
from serve.triton.processes import processes_of, shared_memory_of, wait_until
from serve.triton.state import read_states

pytestmark = pytest.mark.triton


def run(config: SupervisorConfig, act: Callable[[SupervisorStatus], None]) -> None:
    """Run a supervisor here; act in another thread when it is ready, then ask it to end."""

    is_over = threading.Event()

    def act_and_end(status: SupervisorStatus) -> None:
        try:
            act(status)
        finally:
            if not is_over.is_set():  # afterwards the signal would end the tests
                os.kill(os.getpid(), signal.SIGTERM)

    def announce(status: SupervisorStatus) -> None:
        threading.Thread(target=act_and_end, args=(status,)).start()

    try:
        run_service(config, announce)
    finally:
        is_over.set()


def no_trace_of(prefix: str) -> bool:
    return not processes_of(prefix) and not shared_memory_of(prefix)


def the_only(folder: Path) -> ReplicaStatus:
    status = read_status(folder)
    assert status is not None
    return status.replicas[0]


def test_a_replica_that_never_comes_back_is_given_up_loudly(
    repository: Path, environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(repository, tmp_path / "repository")
    folder = tmp_path / "triton"
    patience = Patience(first_backoff_s=0.05, max_failures=3)
    config = SupervisorConfig(tmp_path / "repository", environment, folder, patience=patience)
    prefixes: list[str] = []

    def ruin(status: SupervisorStatus) -> None:
        prefixes.extend(state.prefix for state in read_states(folder))
        shutil.rmtree(tmp_path / "repository" / "tagger" / "1")
        os.kill(status.replicas[0].pid or 0, signal.SIGKILL)

    message = r"replica 0: gave up after 3 failures: ended by itself: .*; see "
    with pytest.raises(ServerError, match=message) as caught:
        run_service(config, lambda status: threading.Thread(target=ruin, args=(status,)).start())
    assert prefixes
    assert all(map(no_trace_of, prefixes))
    assert read_states(folder) == []
    health = read_health(folder)
    assert not health.is_ready
    told = json.loads((folder / LOG).read_text().splitlines()[-1])
    assert (told["level"], told["event"], told["reason"]) == ("ERROR", "gave_up", str(caught.value))
    (first, *_) = capfd.readouterr().err.splitlines()
    assert first.endswith('ERROR replica_ending replica=0 reason="killed by SIGKILL"')


def test_a_replica_that_grows_too_much_is_restarted_and_the_reason_told(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    patience = Patience(descriptors=1e-6, settle_s=0.1, growth_s=0.5)  # whatever it uses
    config = SupervisorConfig(repository, environment, tmp_path, patience=patience)
    seen: list[ReplicaStatus] = []

    def watch(status: SupervisorStatus) -> None:
        wait_until(lambda: the_only(tmp_path).restarts.get("asked", 0) > 0, timeout_s=30.0)
        seen.append(the_only(tmp_path))

    run(config, watch)
    assert seen[0].restarts["asked"] >= 1
    assert seen[0].num_failures == 0
    assert seen[0].reason.startswith("file descriptors: expected at most 0 of the ")


def answers(client: TritonTagger) -> bool:
    try:
        return client.tag([""]) == [[]]
    except ServerError:  # an attempt to connect takes up to a second, and so does the pause after
        return False


def test_a_killed_server_comes_back_on_its_port_where_an_open_client_finds_it(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    config = SupervisorConfig(repository, environment, tmp_path)
    prefixes: list[str] = []
    found: list[bool] = []

    def kill(status: SupervisorStatus) -> None:
        (first,) = read_states(tmp_path)
        with TritonTagger(first.url, policy=Policy(deadline_s=10.0)) as client:
            assert client.tag([""]) == [[]]
            os.kill(first.pid, signal.SIGKILL)
            is_new = wait_until(
                lambda: [s.pid for s in read_states(tmp_path)] not in ([], [first.pid]),
                timeout_s=30.0,
            )
            assert is_new
            (second,) = read_states(tmp_path)
            assert second.url == first.url
            assert no_trace_of(first.prefix)
            found.append(wait_until(lambda: answers(client), timeout_s=30.0))
        prefixes.extend((first.prefix, second.prefix))

    run(config, kill)
    assert found == [True]
    assert all(map(no_trace_of, prefixes))


def full_disk(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_stub_that_dies_is_noticed_and_replaced_although_triton_says_ready(
    repository: Path, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SupervisorConfig(repository, environment, tmp_path)
    seen: list[ReplicaStatus] = []

    def kill(status: SupervisorStatus) -> None:
        (state,) = read_states(tmp_path)
        (stub,) = set(processes_of(state.prefix)) - {state.pid}
        with monkeypatch.context() as patch:  # the status cannot be written
            patch.setattr("serve.supervisor.status.staged_file", full_disk)
            os.kill(stub, signal.SIGKILL)
            wait_until(
                lambda: [s.pid for s in read_states(tmp_path)] not in ([], [state.pid]),
                timeout_s=30.0,
            )
        wait_until(
            lambda: (now := the_only(tmp_path)).is_ready and now.pid != state.pid, timeout_s=30.0
        )
        seen.append(the_only(tmp_path))

    run(config, kill)
    assert seen[0].is_ready
    # Triton refuses what comes after the death, and never answers what was under way.
    assert seen[0].restarts in ({"failed": 1}, {"silent": 1})
    assert read_states(tmp_path) == []


def test_a_replica_that_nobody_asks_shows_no_work_although_canaries_run_tokens(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    config = SupervisorConfig(
        repository, environment, tmp_path, patience=Patience(canary_interval_s=0.1)
    )
    seen: list[Figures] = []

    def tokens() -> int:
        figures = the_only(tmp_path).figures
        return sum(figures.tokens.values()) if figures else 0

    def watch(status: SupervisorStatus) -> None:
        wait_until(lambda: tokens() > 0, timeout_s=30.0)
        early = tokens()
        wait_until(lambda: tokens() > early, timeout_s=30.0)
        seen.extend(filter(None, [the_only(tmp_path).figures]))

    run(config, watch)
    (figures,) = seen
    assert sum(figures.tokens.values()) > 0
    counts = (figures.num_requests, figures.num_texts, figures.num_batches)
    assert counts == (1, 1, 1), "Triton's warm-up"

"""Tests that servers take up files of TLS that were renewed, before those that they have expire."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from serve.client import Policy, TritonTagger
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.life import Life, Phase
from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage
from serve.supervisor.sampler import Sample
from serve.supervisor.status import ReplicaStatus, SupervisorStatus
from serve.supervisor.supervisor import Supervisor
from serve.triton.listening import Exposure
from serve.triton.processes import wait_until
from serve.triton.tls import TlsFiles
from tests.serve.client.test_tls import issue
from tests.serve.stand_in import note_of
from tests.serve.supervisor.test_service import run, the_only

pytestmark = pytest.mark.triton


def issued(folder: Path) -> TlsFiles:
    """Write files for a server; again, and they are new ones."""
    issue(folder, "server", issue(folder, "plant", None), host="localhost")
    return TlsFiles(folder / "plant.pem", folder / "server.pem", folder / "server.key")


def test_a_server_is_restarted_with_files_that_were_renewed(
    repository: Path, environment: Path, tmp_path: Path
) -> None:
    """It keeps what it read at its start; once that expires, it would refuse new connections."""
    tls, folder = issued(tmp_path), tmp_path / "t"
    config = SupervisorConfig(repository, environment, folder, exposure=Exposure(tls=tls))
    seen: list[ReplicaStatus] = []
    answered: list[object] = []

    def renew(status: SupervisorStatus) -> None:
        issued(tmp_path)
        wait_until(
            lambda: (now := the_only(folder)).is_ready and "asked" in now.restarts, timeout_s=30.0
        )
        seen.append(the_only(folder))
        with TritonTagger(seen[0].url, policy=Policy(deadline_s=10.0), tls=tls) as client:
            answered.append(client.tag([""]))

    run(config, renew)
    assert (seen[0].restarts, seen[0].is_ready) == ({"asked": 1}, True)
    assert seen[0].reason == "its files of TLS were renewed"
    assert answered == [[[]]], "its authority is a new one, too"


def test_files_that_were_renewed_and_would_not_do_end_no_server_and_are_told(
    repository: Path,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tls, state = issued(tmp_path), note_of(tmp_path / "log", repository)
    patience, exposure = Patience(settle_s=0.0), Exposure(tls=tls)
    config = SupervisorConfig(
        repository, environment, tmp_path / "t", exposure=exposure, patience=patience
    )
    supervisor = Supervisor(config)
    (replica,) = supervisor.replicas
    monkeypatch.setattr("serve.supervisor.replica.launch", lambda order, folder: state)
    monkeypatch.setattr(replica, "look", lambda now: None)
    replica._launch()
    replica.life = Life(phase=Phase.READY)
    caplog.set_level(logging.ERROR, logger="serve")

    def refused(now: float) -> list[str]:
        supervisor._sampler.samples = {state.prefix: Sample((), Usage(0, 0, 0, 0))}
        supervisor._look_at(replica, now)
        supervisor._roll(now)
        return [r.message for r in caplog.records if "restart_refused" in r.message]

    assert refused(1.0) == []
    issue(tmp_path, "server", None)  # nobody's whom clients trust
    for now in (2.0, 3.0):
        (told,) = refused(now)
        assert "server.pem: expected a certificate for localhost" in told
    tls.key.unlink()
    assert not replica.is_outdated, "they are just being replaced"
    assert replica.life.phase is Phase.READY

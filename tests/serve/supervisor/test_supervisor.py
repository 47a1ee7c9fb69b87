"""Tests what the supervisor looks at before it ends a server on purpose; no server runs here."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from serve.supervisor.config import SupervisorConfig
from serve.supervisor.life import Life, Phase
from serve.supervisor.patience import Patience
from serve.supervisor.supervisor import Supervisor
from serve.triton.listening import Exposure
from serve.triton.tls import TlsFiles


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

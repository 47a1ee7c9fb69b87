"""Tests a Triton without a supervisor: other ports for lost ones, and nothing left at its end."""

from __future__ import annotations

import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import triton
from benchmarks.triton import LostPortError, bring_up, start_triton
from serve.client import Policy, TritonTagger
from serve.errors import ServerError
from serve.repository import publish
from serve.supervisor.orders import prepare
from serve.triton.installation import ENVIRONMENT
from serve.triton.launch import Order
from serve.triton.listening import choose_ports
from serve.triton.logs import reason_of
from serve.triton.processes import processes_of, shared_memory_of
from tests.serve.naming import processes_naming
from tests.serve.tiny import replace_file, tiny_graph, write_bundle

pytestmark = pytest.mark.triton


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a model repository with one version."""
    publish(write_bundle(tmp_path / "bundle"), tmp_path / "repository")
    return tmp_path / "repository"


def test_when_a_port_is_lost_the_next_is_tried_and_a_second_stop_does_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = choose_ports(0, http=False)
        trials = iter([replace(free, grpc=listener.getsockname()[1]), free])
        monkeypatch.setattr(triton, "choose_ports", lambda *_, **__: next(trials))
        server = start_triton(repository)
    with server:
        assert server.url == f"127.0.0.1:{free.grpc}"
        with TritonTagger(server.url, policy=Policy(deadline_s=10.0)) as client:
            assert client.tag([""]) == [[]]
        server.stop()
        assert not processes_of(server.state.prefix)
        assert not shared_memory_of(server.state.prefix)
        assert not server.state.folder.exists()


def test_another_server_on_the_port_is_not_taken_for_our_own(
    repository: Path, tmp_path: Path
) -> None:
    installation, repository = prepare(ENVIRONMENT, repository)
    (folder := tmp_path / "second").mkdir()
    with start_triton(repository) as server:
        ports = replace(choose_ports(0, http=False), grpc=int(server.url.partition(":")[2]))
        with pytest.raises(LostPortError, match=f"expected the port of {server.url} to be free"):
            bring_up(Order(installation, repository, ports), folder)
    log = folder / "triton.log"
    assert list(folder.iterdir()) == [log]
    assert f"'{server.url}' already in use" in reason_of(log)


def test_a_server_that_does_not_come_up_says_why_and_leaves_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file(repository / "tagger" / "1", "model_fp32.onnx", tiny_graph(num_tags=5))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    message = r"labels\.json: expected 5 tags, as many as model_fp32\.onnx's logits, got 7"
    with pytest.raises(ServerError, match=message):
        start_triton(repository)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not processes_naming(tmp_path), "no process of the failed start is left"

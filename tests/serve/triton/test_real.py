"""Tests a real Triton's life: its start, its end, and what is left after a violent one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks.triton import TritonServer, start_triton
from serve.client import Policy, TritonTagger
from serve.errors import ServerError
from serve.repository import publish
from serve.triton.probe import Probe
from serve.triton.processes import processes_of, shared_memory_of, wait_until
from serve.triton.state import read_state

pytestmark = pytest.mark.triton
TIMEOUT_S = 10.0


def no_trace_of(prefix: str) -> bool:
    return not processes_of(prefix) and not shared_memory_of(prefix)


def listeners(pid: int) -> set[str]:
    """Return the local addresses, in hex, on which a process listens."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return {
        row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


def test_the_server_listens_on_loopback_only(server: TritonServer) -> None:
    loopback, the_same_mapped_to_ipv6 = "0100007F", "0000000000000000FFFF00000100007F"
    assert loopback in listeners(server.state.pid) <= {loopback, the_same_mapped_to_ipv6}


def test_the_server_leads_its_own_group_and_all_carry_its_prefix(server: TritonServer) -> None:
    pids = processes_of(server.state.prefix)
    assert server.state.pid in pids
    assert len(pids) == 2, "the server and the stub of its one model instance"
    assert {os.getpgid(pid) for pid in pids} == {server.state.pid} != {os.getpgid(0)}
    assert shared_memory_of(server.state.prefix)


def test_a_ready_server_says_which_versions_it_has(server: TritonServer) -> None:
    assert read_state(server.state.folder) == server.state
    with Probe(server.state, timeout_s=TIMEOUT_S) as probe:
        versions, graph = probe.admin().model_versions(), probe.send_graph().result()
        assert probe.send_identity().result().name == server.state.prefix
    assert [(v.model, v.version, v.state) for v in versions] == [("tagger", "1", "READY")]
    assert graph["precision"] == "int8"


def test_a_killed_server_is_noticed_and_its_remains_are_swept_as_it_is_stopped(
    repository: Path, environment: Path
) -> None:
    with (
        start_triton(repository, environment=environment) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
    ):
        assert client.tag([""]) == [[]]
        os.kill(server.state.pid, signal.SIGKILL)
        assert wait_until(lambda: not server.state.is_running(), timeout_s=5.0)
        with pytest.raises(ServerError, match=f"{server.url}: expected a Triton that answers"):
            client.tag(["fix pump"])
        assert not no_trace_of(server.state.prefix), "otherwise this test shows nothing"
        assert read_state(server.state.folder) == server.state
    assert no_trace_of(server.state.prefix)


def test_a_killed_stub_is_noticed_although_triton_says_ready(
    repository: Path, environment: Path
) -> None:
    with start_triton(repository, environment=environment) as server:
        (stub,) = set(processes_of(server.state.prefix)) - {server.state.pid}
        os.kill(stub, signal.SIGKILL)
        with (
            TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
            pytest.raises(ServerError, match=r"from the model, got INTERNAL: Stub process"),
        ):
            client.tag(["fix pump"])
        with Probe(server.state, timeout_s=TIMEOUT_S) as probe:
            assert [v.state for v in probe.admin().model_versions()] == ["READY"]
            with pytest.raises(ServerError, match=r"expected an answer, got INTERNAL: Stub"):
                probe.send(["fix pump"]).result()
    assert no_trace_of(server.state.prefix)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "model_fp32.onnx",
            b"damaged",
            r"version 1: BundleError: .*model_fp32\.onnx: expected SHA",
        ),
        ("manifest.json", b"{}", r"version 1: BundleError: .*manifest\.json: expected a manifest"),
    ],
)
def test_a_damaged_version_is_told_in_one_line(
    bundle: Path, environment: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    publish(bundle, tmp_path / "repository")
    (tmp_path / "repository" / "tagger" / "1" / name).write_bytes(content)
    with pytest.raises(ServerError, match=message) as caught:
        start_triton(tmp_path / "repository", environment=environment)
    assert "\n" not in str(caught.value)


def test_the_runtime_works_on_tritons_numpy(served_bundle: Path, environment: Path) -> None:
    script = (
        "import sys, numpy; from serve.tagger import Tagger;"
        "entities = Tagger.load(sys.argv[1]).tag(['fix pump', ''] * 9 + ['hose ' * 99]);"
        "print(numpy.__version__, len(entities))"
    )
    command = [environment / "bin" / "python", "-c", script, served_bundle]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1."), "Triton's Python must hold numpy 1"
    assert done.stdout.split()[1] == "19"

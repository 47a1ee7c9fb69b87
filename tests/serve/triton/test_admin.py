"""Tests the administrator's key: who has it, who has not, and what is refused without it."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tritonclient.grpc import service_pb2 as pb

from benchmarks.triton import TritonServer, start_triton
from serve.errors import ServerError
from serve.triton.admin import Admin, read_admin_key, write_admin_key
from serve.triton.channels import open_channel
from serve.triton.probe import Probe
from serve.triton.processes import overwrite_argument, processes_of

CALLS = [
    ("RepositoryIndex", pb.RepositoryIndexRequest()),
    ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="tagger")),
    ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="tagger")),
    ("ModelConfig", pb.ModelConfigRequest(name="tagger")),
    ("ModelStatistics", pb.ModelStatisticsRequest(name="tagger")),
    ("SystemSharedMemoryRegister", pb.SystemSharedMemoryRegisterRequest(name="x", key="/x")),
    ("CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest()),
    ("TraceSetting", pb.TraceSettingRequest()),
    ("LogSettings", pb.LogSettingsRequest()),
]


def test_a_key_is_long_and_for_its_owner_only(tmp_path: Path) -> None:
    key = write_admin_key(tmp_path)
    assert len(bytes.fromhex(key)) == 32
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600
    assert read_admin_key(tmp_path) == key != write_admin_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["admin.key"]


def test_a_key_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"admin\.key: expected the key of a server that runs"):
        read_admin_key(tmp_path)


def test_a_secret_is_overwritten_on_a_childs_command_line_only() -> None:
    command = [sys.executable, "-c", "import time; print(); time.sleep(60)", "secret=abc", "seen"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        arguments = Path(f"/proc/{child.pid}/cmdline")
        assert b"secret=abc\0" in arguments.read_bytes()
        assert not overwrite_argument(child.pid, "not there")
        assert overwrite_argument(child.pid, "abc")
        assert b"secret=xxx\0seen" in arguments.read_bytes()
        child.kill()
    assert not overwrite_argument(child.pid, "xxx"), "it has ended"


@pytest.mark.triton
@pytest.mark.parametrize("key", ["", "0" * 64])
@pytest.mark.parametrize(("name", "request_"), CALLS, ids=[name for name, _ in CALLS])
def test_administration_without_the_key_is_refused(
    server: TritonServer, name: str, request_: object, key: str
) -> None:
    response = getattr(pb, f"{name}Response")
    with open_channel(server.url, None) as channel:
        stranger = Admin(channel, key, timeout_s=10.0)
        with pytest.raises(ServerError, match=f"{name}, got UNAVAILABLE: This protocol is restr"):
            stranger.call(name, request_, response)


@pytest.mark.triton
def test_a_telling_server_lets_anybody_read_and_nobody_change(
    repository: Path, environment: Path
) -> None:
    answers = {}
    with (
        start_triton(repository, environment=environment, is_telling=True) as telling,
        open_channel(telling.url, None) as channel,
    ):
        stranger = Admin(channel, "", timeout_s=10.0)
        for name, request in CALLS:
            try:
                stranger.call(name, request, getattr(pb, f"{name}Response"))
                answers[name] = "told"
            except ServerError as error:
                answers[name] = str(error)
    told = {name for name, answer in answers.items() if answer == "told"}
    assert told == {"ModelConfig", "ModelStatistics"}
    assert all("This protocol is restricted" in answers[name] for name in answers.keys() - told)


@pytest.mark.triton
def test_the_owner_has_the_key_and_no_command_line_shows_it(server: TritonServer) -> None:
    key = read_admin_key(server.state.folder)
    with Probe(server.state, timeout_s=10.0) as probe:
        assert [v.state for v in probe.admin().model_versions()] == ["READY"]
    pids = processes_of(server.state.prefix)
    assert server.state.pid in pids
    shown = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    assert b"linetag-admin=xxxx" in shown, "the rule is there"
    assert key.encode() not in shown
    assert key not in Path(server.state.log).read_text()


@pytest.mark.triton
def test_http_restricts_administration_too(server: TritonServer) -> None:
    request = urllib.request.Request(
        f"http://{server.state.http_url}/v2/repository/index", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code == 403
    request.add_header("linetag-admin", read_admin_key(server.state.folder))
    with urllib.request.urlopen(request, timeout=10) as response:
        assert b'"READY"' in response.read()

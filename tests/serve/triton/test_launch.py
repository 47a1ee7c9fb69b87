"""Tests ports, the installation and the note of a server's state."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.triton import ending
from serve.triton.ending import take_down
from serve.triton.installation import STUB, Installation
from serve.triton.launch import Order, launch
from serve.triton.listening import Exposure, Ports, choose_ports, with_free_metrics
from serve.triton.logs import reason_of
from serve.triton.processes import processes_of, start_ticks, wait_until
from serve.triton.state import ServerState, read_state, remove_state, write_state
from serve.triton.tls import TlsFiles
from tests.serve.stand_in import note_of, stand_in

STATE = replace(note_of(Path("l"), Path("r")), start_ticks=2)


def test_free_ports_differ() -> None:
    ports = choose_ports(0, http=True)
    assert ports.grpc != ports.http
    assert choose_ports(0, http=False).http is None


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=f"expected port {port} of .* to be free, got Addr"):
            choose_ports(port, http=False)
    assert choose_ports(port, http=False).grpc == port


def test_an_address_of_another_machine_is_refused_by_its_flag() -> None:
    message = r"--listen 203\.0\.113\.7: expected an address of this machine, got Cannot assign"
    with pytest.raises(ServerError, match=message):
        choose_ports(0, http=False, host="203.0.113.7")


def test_a_metrics_port_that_somebody_has_taken_is_replaced_and_no_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        moved = with_free_metrics(Ports(port, None, port))
    assert moved.grpc == port
    assert moved.metrics not in (None, port)
    assert with_free_metrics(moved) == moved


@pytest.mark.parametrize(
    ("host", "with_tls", "expected"),
    [
        ("127.0.0.1", False, "127.0.0.1:1"),
        ("127.0.0.1", True, "localhost:1"),
        ("0.0.0.0", True, "localhost:1"),
        ("192.168.0.7", True, "192.168.0.7:1"),
    ],
)
def test_the_address_for_clients_is_one_that_the_certificate_names(
    tmp_path: Path, host: str, with_tls: bool, expected: str
) -> None:
    tls = TlsFiles(tmp_path / "ca", tmp_path / "cert", tmp_path / "key") if with_tls else None
    installation = Installation(tmp_path, tmp_path, "3.11", "")
    order = Order(installation, tmp_path, Ports(1, None, 2), Exposure(host, tls))
    assert order.client_url == expected


@pytest.mark.parametrize("prefix", ["", "-", "linetag-", "python"])
def test_a_note_whose_prefix_would_kill_others_is_refused(tmp_path: Path, prefix: str) -> None:
    write_state(tmp_path, replace(STATE, prefix=prefix))
    with pytest.raises(ServerError, match="expected the state of a server, got the prefix"):
        take_down(tmp_path)


def test_a_server_that_another_release_noted_is_taken_down(tmp_path: Path) -> None:
    with stand_in(tmp_path, tmp_path) as state:
        told = {**json.loads((tmp_path / "state.json").read_text()), "metrics_url": None, "new": 1}
        (tmp_path / "state.json").write_text(json.dumps(told))
        with pytest.raises(ServerError, match=r"\['new'\] .*; end it with python -m serve stop"):
            read_state(tmp_path)
        assert take_down(tmp_path)
        assert not state.is_running()
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("sender", ["kill", "killpg"])
def test_a_server_that_ends_just_before_it_is_killed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    prefix = f"linetag-test-{os.getpid()}-{sender}-"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(60)"
    command = [sys.executable, "-c", deaf, prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        kill, send = os.kill, getattr(os, sender)

        def die_first(pid: int, number: int) -> None:
            kill(pid, signal.SIGKILL)
            process.wait()
            send(pid, number)

        monkeypatch.setattr(os, sender, die_first)
        monkeypatch.setattr(ending, "STOP_TIMEOUT_S", 0.1)
        ticks = start_ticks(process.pid)
        assert ticks is not None
        write_state(tmp_path, replace(STATE, pid=process.pid, start_ticks=ticks, prefix=prefix))
        assert take_down(tmp_path)
    assert read_state(tmp_path) is None


def test_the_reason_is_the_most_telling_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    assert reason_of(log) == "an empty log"
    log.write_text("tritonserver: error while loading shared libraries: libx.so.1\n\n")
    assert reason_of(log) == "tritonserver: error while loading shared libraries: libx.so.1"
    log.write_text(
        'E1123 16:00:00.1 7 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        'E1123 16:00:00.1 7 x.cc:1] "Poll failed: no config"\nerror: creating server: Internal\n'
    )
    assert reason_of(log) == "Poll failed: no config"


def test_a_log_that_is_gone_is_told(tmp_path: Path) -> None:
    log = tmp_path / "gone"
    assert reason_of(log) == f"{log}: No such file or directory"


def test_the_installation_is_complete_and_its_stub_is_placed(environment: Path) -> None:
    installation = Installation.find(environment)
    assert installation.server.is_file()
    placed = installation.backends / "python" / STUB
    placed.unlink(missing_ok=True)
    installation.place_stub()
    first = placed.stat()
    installation.place_stub()
    assert placed.stat().st_ino == first.st_ino, "a stub in its place is left alone"
    assert first.st_mode & 0o111
    variables = installation.variables()
    assert variables["PATH"].startswith(f"{environment / 'bin'}:")
    assert installation.library_folder in variables["LD_LIBRARY_PATH"]


def test_a_python_without_a_stub_is_refused(environment: Path) -> None:
    installation = replace(Installation.find(environment), python_version="3.99")
    with pytest.raises(ServerError, match=r"expected a Python of .*3\.11.*, got 3\.99"):
        installation.place_stub()


def test_a_stub_that_cannot_be_placed_is_told(tmp_path: Path) -> None:
    stub = tmp_path / "python_backend_stubs" / "3.11" / STUB
    stub.parent.mkdir(parents=True)
    stub.touch()
    message = f"backends/python/{STUB}: expected a writable folder, got .*; its owner puts the stub"
    with pytest.raises(ServerError, match=message):
        Installation(tmp_path, tmp_path, "3.11", "").place_stub()


def test_an_environment_without_triton_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"none/bin/python: expected a Python that runs, got"):
        Installation.find(tmp_path / "none")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(ServerError, match="expected Triton from nvidia-pytriton, got none"):
        Installation.find(tmp_path)


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    remove_state(tmp_path)
    remove_state(tmp_path)
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', '{"unknown": 1}', "3"])
def test_what_is_no_state_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ServerError, match=r"state\.json: expected the state of a server, got"):
        read_state(tmp_path)


def test_a_state_whose_process_id_was_used_again_is_not_running() -> None:
    ticks = start_ticks(1)
    assert ticks is not None
    assert replace(STATE, start_ticks=ticks).is_running()
    assert not replace(STATE, start_ticks=ticks + 1).is_running()


def test_a_server_may_have_more_connections_than_whoever_starts_it(tmp_path: Path) -> None:
    """A thousand callers would be taken for a leak, which a restart ends, again and again."""
    installation = Installation(tmp_path, tmp_path, "3.11", "")
    installation.server.parent.mkdir()
    installation.server.write_text("#!/bin/sh\necho started\nwhile :; do sleep 0.1; done\n")
    installation.server.chmod(0o755)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        state = launch(Order(installation, tmp_path, Ports(1, None, 2)), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    allowed, most = resource.prlimit(state.pid, resource.RLIMIT_NOFILE)
    take_down(tmp_path, patiently=False)
    assert allowed == min(most, 65_536) > 1024


def test_a_server_whose_note_cannot_be_written_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path, tmp_path, "3.11", "")
    server = installation.server
    server.parent.mkdir()
    server.write_text("#!/bin/sh\nsleep 60\n")
    server.chmod(0o755)

    def only_before_the_start(folder: Path, state: ServerState) -> None:
        if state.pid:
            # Its command line is there a moment after the program was started.
            assert wait_until(lambda: state.pid in processes_of(state.prefix), timeout_s=5.0)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_state(folder, state)

    monkeypatch.setattr("serve.triton.launch.write_state", only_before_the_start)
    order = Order(installation, tmp_path, Ports(1, None, 2))
    with pytest.raises(OSError, match="No space left"):
        launch(order, tmp_path)
    state = read_state(tmp_path)
    assert state is not None
    assert wait_until(lambda: not processes_of(state.prefix), timeout_s=5.0)

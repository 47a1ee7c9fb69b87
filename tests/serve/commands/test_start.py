"""Tests the verbs around a supervisor, with a real Triton: start, status, top, restart, stop."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.__main__ import main
from serve.client import TritonTagger
from serve.commands.start import StartConfig, parse_args, tag_command, undetached
from serve.commands.tag import parse_args as parse_tag
from serve.repository import publish
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.status import SupervisorStatus, read_status
from serve.triton.listening import Exposure
from serve.triton.processes import processes_of, shared_memory_of, wait_until
from serve.triton.state import ServerState, read_states
from serve.triton.tls import TlsFiles
from tests.serve.naming import processes_naming
from tests.serve.tiny import write_bundle

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("build/triton")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a project folder with a published bundle; what runs there ends with the test."""
    write_bundle(tmp_path / "build" / "bundle")
    monkeypatch.chdir(tmp_path)
    assert main(["publish"]) == 0
    yield tmp_path
    monkeypatch.chdir(tmp_path)
    main(["stop"])
    assert processes_naming(tmp_path) == []


@contextmanager
def serve(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a verb in a process of its own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serve", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def status() -> SupervisorStatus:
    found = read_status(FOLDER)
    assert found is not None
    return found


def is_ready() -> bool:
    found = read_status(FOLDER)
    return found is not None and bool(found.replicas) and found.num_ready == len(found.replicas)


def phases_told() -> list[str]:
    """Return the phases of the only replica that the log tells of."""
    events = [json.loads(line) for line in (FOLDER / "supervisor.log").read_text().splitlines()]
    told = [event["event"] for event in events if event["event"].startswith("replica_")]
    return [event.removeprefix("replica_") for event in told]


def no_trace_of(states: list[ServerState]) -> bool:
    return not any(processes_of(s.prefix) or shared_memory_of(s.prefix) for s in states)


@pytest.mark.triton
def test_a_port_in_use_is_told_and_nothing_is_left(
    project: Path, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["start", f"--grpc-port={port}", f"--triton={environment}"]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: expected port {port} of .* to be free, got Addr.*\n", error)
    assert read_states(FOLDER) == []
    assert not processes_naming(project)


def test_what_start_was_asked_for_is_asked_of_the_detached_one_too(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "ca", tmp_path / "cert", tmp_path / "key")
    servers = SupervisorConfig(
        repository=Path("r"),
        triton=Path("t"),
        num_replicas=3,
        grpc_port=8001,
        exposure=Exposure("0.0.0.0", files),
        http=True,
        metrics_port=0,
        metrics_host="0.0.0.0",
    )
    assert parse_args(undetached(servers)) == StartConfig(servers, detach=False)
    assert parse_args(undetached(SupervisorConfig())) == StartConfig()


@pytest.mark.parametrize(
    ("urls", "with_tls", "expected"),
    [
        (["127.0.0.1:1", "127.0.0.1:2"], False, ("127.0.0.1:1", "127.0.0.1:2")),
        (["localhost:1", "localhost:2"], True, ("localhost:1", "localhost:2")),
        (["[::1]:1"], False, ("[::1]:1",)),
        (["192.168.0.7:1"], True, ("192.168.0.7:1",)),
    ],
)
def test_the_command_that_start_prints_is_one_that_tag_takes(
    tmp_path: Path, urls: list[str], with_tls: bool, expected: tuple[str, ...]
) -> None:
    files = TlsFiles(tmp_path / "an authority", tmp_path / "cert", tmp_path / "key")
    tls = files if with_tls else None
    command = shlex.split(tag_command(",".join(urls), tls))
    assert command[:4] == ["python", "-m", "serve", "tag"]
    config = parse_tag(command[4:])
    assert (config.urls, config.tls) == (expected, tls)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("0:0::0", "[::]"),
        ("0.0.0.0", "0.0.0.0"),
        ("line-3.plant", "line-3.plant"),
    ],
)
def test_an_ipv6_address_may_be_given_without_brackets(given: str, taken: str) -> None:
    assert parse_args(["--listen", given]).servers.exposure.host == taken


@pytest.mark.parametrize(
    "arguments",
    [
        ["--replicas", "0"],
        ["--replicas", "65"],
        ["--grpc-port", "-1"],
        ["--grpc-port", "65535", "--replicas", "2"],
        ["--metrics-port", "65536"],
        ["--metrics-listen", "0.0.0.0"],
        ["--tls-key", "k"],
        ["--tls-authority", "a", "--tls-certificate", "c"],
        ["--metrics-port", "0", "--metrics-listen", ""],
        ["--listen", "[]"],
        ["--listen", "x" * 64],
        ["--listen", "0.0.0.0:8001"],
        ["--listen", "[::1]:8001"],
    ],
)
def test_misuse_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["start", *arguments])
    assert caught.value.code == 2
    assert re.search("error: (argument )?--", capsys.readouterr().err)


@pytest.mark.triton
def test_start_status_top_and_stop(
    project: Path, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["start", "--detach", f"--triton={environment}"]
    assert main(["status"]) == 1
    assert "no: not started; start it with python -m serve start" in capsys.readouterr().out
    assert main(["top"]) == 1
    assert "no: not started" in capsys.readouterr().out
    assert main([*start, "--replicas=2", "--http", "--metrics-port=0"]) == 0
    out, err = capsys.readouterr()
    urls, states = out.strip().split(","), read_states(FOLDER)
    assert [state.url for state in states] == urls
    assert "warning: expected Triton 2.73 (release 26.09) or newer, got 2.51.0: it lacks" in err
    assert main(start) == 1
    assert f"expected no supervisor, got process {status().pid}; stop" in capsys.readouterr().err

    with TritonTagger(urls) as client:
        for _ in range(20):
            client.tag(["fix pump", "replace hose"])
    assert wait_until(lambda: all(r.figures and r.usage for r in status().replicas), timeout_s=10.0)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("ready       yes\n")
    assert shown.count("version 1: model_fp32.onnx, fp32 on CPUExecutionProvider") == 2
    assert f"  HTTP      {states[0].http_url}" in shown
    assert main(["status", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["is_ready"] is True
    assert [r["versions"][0]["state"] for r in facts["supervisor"]["replicas"]] == ["READY"] * 2
    assert [r["usage"]["memory_bytes"] > 1e7 for r in facts["supervisor"]["replicas"]] == [True] * 2

    assert main(["top"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].startswith("warning: expected Triton 2.73")
    assert rows[-3].split()[:4] == ["replica", "gRPC", "health", "version"]
    assert [row.split()[:4] for row in rows[-2:]] == [
        ["0", urls[0], "ready", "1"],
        ["1", urls[1], "ready", "1"],
    ]
    assert main(["top", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rates"].keys() == {"0", "1"}

    with urllib.request.urlopen(f"http://{status().metrics_url}/metrics", timeout=10) as page:
        families = {f.name: f for f in text_string_to_metric_families(page.read().decode())}
    texts = families["linetag_model_texts"].samples
    assert {sample.labels["replica"] for sample in texts} == {"0", "1"}
    assert sum(sample.value for sample in texts) >= 40
    canaries = families["linetag_supervisor_canaries"].samples
    asked = {(s.labels["replica"], s.labels["kind"]) for s in canaries if s.value}
    assert asked == {("0", "right"), ("1", "right")}

    assert main(["stop"]) == 0
    assert no_trace_of(states)
    capsys.readouterr()
    assert main(["stop"]) == 0
    assert capsys.readouterr().err == "no server to stop\n"
    assert main(["status"]) == 1
    assert main(["restart"]) == 1
    assert "expected a supervisor, got none" in capsys.readouterr().err


@pytest.mark.triton
def test_what_a_killed_supervisor_leaves_is_told_and_cleared_away_by_start_and_by_stop(
    project: Path, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orphans: list[ServerState] = []
    for verb in (["start", "--detach", f"--triton={environment}"], ["stop"]):
        if not orphans:
            assert main(["start", "--detach", f"--triton={environment}"]) == 0
        before, orphans = status(), read_states(FOLDER)
        os.kill(before.pid, signal.SIGKILL)
        assert wait_until(lambda b=before: not b.is_running(), timeout_s=5.0)
        capsys.readouterr()
        assert main(["status"]) == 1
        assert "no: the supervisor ended at " in capsys.readouterr().out
        with TritonTagger(orphans[0].url) as client:
            assert client.tag([""]) == [[]], "its server serves on"
        assert main(verb) == 0
        assert no_trace_of(orphans)
    assert not (project / "build" / "triton" / "status.json").exists()


@pytest.mark.triton
def test_a_supervisor_in_the_foreground_ends_when_asked_and_drains(
    project: Path, environment: Path
) -> None:
    with serve("start", "--triton", str(environment)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        states = read_states(FOLDER)
        assert [state.url for state in states] == [url]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
    assert errors.splitlines()[-1] == "stopped"
    assert no_trace_of(states)
    assert phases_told() == ["starting", "ready", "draining", "ending", "stopped"]


@pytest.mark.triton
@pytest.mark.parametrize("output", ["| true", "2>&1 | true"])
def test_servers_serve_on_when_nobody_reads_their_addresses(
    project: Path, environment: Path, output: str
) -> None:
    command = (
        f"{{ {sys.executable} -m serve start --triton {environment}; echo $? > rc; }} {output}"
    )
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(["sh", "-c", command], env=variables) as process:
        assert wait_until(lambda: is_ready() or process.poll() is not None, timeout_s=30.0)
        assert process.poll() is None
        assert main(["stop"]) == 0
        process.wait(timeout=30)
    assert (project / "rc").read_text() == "0\n"
    assert phases_told() == ["starting", "ready", "draining", "ending", "stopped"]


@pytest.mark.triton
def test_a_supervisor_that_is_asked_twice_ends_at_once(project: Path, environment: Path) -> None:
    with serve("start", "--triton", str(environment)) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        states = read_states(FOLDER)
        os.kill(states[0].pid, signal.SIGSTOP)  # it cannot drain
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 1
    assert no_trace_of(states)


@pytest.mark.triton
def test_a_signal_that_was_ignored_before_is_ignored_by_start(
    project: Path, environment: Path
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        with serve("start", "--triton", str(environment)) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            mask = Path(f"/proc/{process.pid}/status").read_text().partition("SigIgn:")[2].split()
            assert int(mask[0], 16) & 1 << signal.SIGHUP - 1
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.triton
@pytest.mark.parametrize(("detach", "delay_s"), [([], 0.5), ([], 0.9), (["--detach"], 0.9)])
def test_a_start_that_is_interrupted_leaves_nothing(
    project: Path, environment: Path, detach: list[str], delay_s: float
) -> None:
    with serve("start", "--triton", str(environment), *detach) as process:
        time.sleep(delay_s)  # before, during or after the launch: nothing may be left either way
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert processes_naming(project) == []
    assert read_states(FOLDER) == []


@pytest.mark.triton
@pytest.mark.parametrize("detach", ["", "--detach"])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        (">&-", "expected a standard output for .*, got a closed one; > /dev/null does without"),
        ("> /dev/full", "standard output: No space left on device"),
    ],
)
def test_a_start_that_cannot_tell_the_addresses_fails_and_leaves_nothing(
    project: Path, environment: Path, output: str, message: str, detach: str
) -> None:
    command = f"{sys.executable} -m serve start --triton {environment} {detach} {output}"
    run = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert re.search(f"^error: .*{message}", run.stderr.splitlines()[-1])
    assert processes_naming(project) == []
    assert read_states(FOLDER) == []


@pytest.mark.triton
@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_start_that_fails_is_one_line_with_the_reason(
    project: Path, environment: Path, capsys: pytest.CaptureFixture[str], detach: list[str]
) -> None:
    (project / "model_repository" / "tagger" / "1" / "model_fp32.onnx").write_bytes(b"damaged")
    capsys.readouterr()
    assert main(["start", *detach, "--replicas=2", f"--triton={environment}"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("error: replica ")
    assert "expected Triton to start, got ended by itself: version 1: BundleError: " in message
    assert "model_fp32.onnx" in message
    assert read_states(FOLDER) == []


@pytest.mark.triton
def test_a_step_from_anywhere_reaches_the_servers_and_loses_nothing(
    project: Path,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are looked for by what they serve: their notes lie in another project's folder."""
    assert main(["start", "--detach", f"--triton={environment}"]) == 0
    url, bundle, repository = (
        capsys.readouterr().out.strip(),
        project / "build" / "bundle",
        project / "model_repository",
    )
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    with TritonTagger(url) as client:
        client.tag(["fix pump"])
        monkeypatch.chdir(elsewhere)
        step = ["publish", "--promote", f"--bundle={bundle}", f"--repository={repository}"]
        assert main(step) == 0, capsys.readouterr().err
        assert wait_until(lambda: client.ask(["fix pump"])[0].version == "2", timeout_s=10.0)

        # As from another container, whose processes are not seen from here.
        publish(bundle, repository)
        monkeypatch.chdir(project)
        assert wait_until(lambda: warned_of("lacks version 3"), timeout_s=10.0)
        assert wait_until(lambda: versions_ready() == {"3"}, timeout_s=20.0)
        assert wait_until(lambda: client.ask(["fix pump"])[0].version == "3", timeout_s=10.0)
        assert wait_until(lambda: not warned_of("lacks version"), timeout_s=10.0)


def warned_of(words: str) -> bool:
    return any(words in warning for warning in status().warnings)


def versions_ready() -> set[str]:
    listed = [version for replica in status().replicas for version in replica.versions]
    return {v.version for v in listed if v.state == "READY"}

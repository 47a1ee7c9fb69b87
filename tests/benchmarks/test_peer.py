"""The peer in a Python of its own, played by a worker of a few lines: asked, halted, ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import latency
from benchmarks.halting import awake
from benchmarks.peer import open_peer
from benchmarks.timing import time_all, time_lines
from serve.entities import Entity
from serve.errors import TaggingError

HELLO = """
import json, os, sys
from pathlib import Path
import onnx
from onnx import TensorProto, helper

task = json.loads(sys.stdin.readline())
weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
graph = helper.make_graph([], "g", [], [], [weight])
onnx.save(helper.make_model(graph), Path(task["folder"]) / "model.onnx")
Path(task["checkpoint"], "pid").write_text(str(os.getpid()))
hello = {"provider": "an abacus", "batch_size": 8, "versions": {"optimum-onnx": "0.1.0"}}
print(json.dumps(hello), flush=True)
"""
ANSWERS = """
for request in map(json.loads, sys.stdin):
    lines = request["lines"]
    answers = {
        "tag": [[["Item", 0, len(line), 0.5]] for line in lines],
        "time_lines": [3.0] * len(lines),
        "time_all": 9.0,
    }
    print(json.dumps(answers[request["call"]]), flush=True)
"""
DIES = 'sys.exit("many words\\nout of beads")'


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Path]:
    """Return what makes an interpreter that runs a script whatever module it is asked for."""

    def write(script: str) -> Path:
        (tmp_path / "worker.py").write_text(script)
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'worker.py'}\n")
        path.chmod(0o755)
        return path

    return write


def state_of(folder: Path) -> str:
    """Return the state of the worker's process, as the kernel names it; "" when there is none."""
    pid = (folder / "pid").read_text()
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def wait_for(folder: Path, states: str) -> None:
    """Wait until the worker is in one of the states; signals take a moment."""
    deadline = time.monotonic() + 10
    while state_of(folder) not in states:
        assert time.monotonic() < deadline, f"expected {states}, got {state_of(folder)}"
        time.sleep(0.01)


def test_the_peer_says_what_it_runs_and_its_own_times_count(
    tmp_path: Path, python: Callable[[str], Path]
) -> None:
    with open_peer(tmp_path, ["pump"], python=python(HELLO + ANSWERS)) as peer, awake(peer):
        assert peer.facts.precision == "fp32"
        assert (peer.facts.provider, peer.facts.offline_batch_size) == ("an abacus", 8)
        assert peer.facts.what.endswith("optimum-onnx 0.1.0")
        assert peer.tag(["pump", "a"]) == [[Entity("Item", 0, 4, 0.5)], [Entity("Item", 0, 1, 0.5)]]
        assert time_lines(peer, ["pump", "a"]) == (3.0, 3.0)
        assert time_all(peer, ["pump", "a"]) == 9.0


def test_the_peer_is_halted_but_for_its_turn_and_gone_afterwards(
    tmp_path: Path, python: Callable[[str], Path]
) -> None:
    with open_peer(tmp_path, ["pump"], python=python(HELLO + ANSWERS)) as peer:
        wait_for(tmp_path, "T")
        with awake(peer):
            peer.tag(["pump"])
            wait_for(tmp_path, "SR")
        wait_for(tmp_path, "T")
    assert state_of(tmp_path) == ""


@pytest.mark.parametrize("script", [f"import sys\n{DIES}", HELLO + DIES])
def test_a_worker_that_ends_is_one_line_with_its_last_words(
    tmp_path: Path, python: Callable[[str], Path], script: str
) -> None:
    expected = r"^optimum's worker: expected an answer, got out of beads; make .venv-optimum/ready"
    with (
        pytest.raises(TaggingError, match=expected),
        open_peer(tmp_path, ["pump"], python=python(script)) as peer,
        awake(peer),
    ):
        peer.tag(["pump"])


def test_without_its_environment_the_error_says_how_to_make_it_or_do_without(
    tmp_path: Path,
) -> None:
    expected = r"expected optimum's environment, got none; make .* --no-optimum"
    with (
        pytest.raises(TaggingError, match=expected),
        open_peer(tmp_path, ["pump"], python=tmp_path / "none"),
    ):
        pass
    assert latency.parse_args([]).optimum
    assert not latency.parse_args(["--no-optimum"]).optimum

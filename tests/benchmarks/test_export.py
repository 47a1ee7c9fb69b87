"""What an export costs: measured from outside, on a tiny model and on a process of known size."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest

from benchmarks import export

MB = 10**6


def standing_in(command: str, folder: Path) -> str:
    """Return a program to be started in place of Python, which runs a line of shell."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    return str(program)


def test_a_model_with_random_weights_is_exported_with_its_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "NUM_DEV", 20)
    output = tmp_path / "figures" / "export.json"
    assert export.main(["--shape", "tiny", "--output", str(output)]) == 0
    out = capsys.readouterr().out
    cost = json.loads(out.splitlines()[-1])
    assert cost == json.loads(output.read_text())
    assert (cost["model"], cost["num_dev"]) == ("tiny, random weights", 20)
    (run,) = cost["runs"]
    assert 0 < run["cpu_s"] < run["wall_s"] * 64
    assert run["peak_bytes"] > 100 * MB  # PyTorch alone
    assert f"| tiny, random weights | 20 | 1 | {run['wall_s']:.0f} |" in out


def test_memory_is_the_exporting_process_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path
) -> None:
    # More than this process ever had, which Linux counts as the child's, too.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 500 * MB
    take = f"{sys.executable} -c 'bytearray({size})'"
    monkeypatch.setattr(export.sys, "executable", standing_in(f"exec {take}", tmp_path))
    config = export.ExportCostConfig(checkpoint=tiny_checkpoint, runs=2)
    runs = export.measure(config).runs
    assert len(runs) == 2
    assert all(size < run.peak_bytes < size + 500 * MB for run in runs)


def test_an_export_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--checkpoint", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    failing = standing_in("echo 'error: expected room, got a full disk' >&2; exit 1", tmp_path)
    monkeypatch.setattr(export.sys, "executable", failing)
    assert export.main(["--shape", "tiny"]) == 1
    assert capsys.readouterr().err == "error: expected room, got a full disk\n"


def test_shape_and_checkpoint_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        export.parse_args(["--shape", "tiny", "--checkpoint", "build"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err

"""Runs the command as a user of several processes does, and as one whose machine dies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from train.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here: sums depend on the split of work
TRAINING = ["--epochs", "4", "--learning-rate", "1e-2", "--seed", "3"]

pytestmark = pytest.mark.slow


@pytest.fixture
def arguments(tiny_base: Path, tiny_data: Path) -> list[str]:
    return ["--data", str(tiny_data), "--model", str(tiny_base), *TRAINING]


def epochs_of(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("epoch ")]


def two_processes(*arguments: str) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "train"]
    return subprocess.run(
        [*launch, *arguments],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_two_processes_train_what_one_does(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    # Whole numbers and FP32: what is left is the order in which sums are made.
    arguments += ["--arithmetic", "fp32", "--batch-size", "21", "--epochs", "2"]
    done = two_processes(*arguments, "--output", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert "cpu, float32, 2 processes" in done.stderr
    assert len(epochs_of(done.stderr)) == 2, "one process speaks for both"
    assert done.stdout.count("dev: 30 lines") == 1
    assert main([*arguments, "--output", str(tmp_path / "one")]) == 0
    assert epochs_of(done.stderr) == epochs_of("\n".join(caplog.messages))
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)


def test_of_two_processes_that_distil_one_speaks(
    arguments: list[str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "student"
    lesson = ["--teachers", str(tiny_checkpoint), "--epochs", "1", "--output", str(output)]
    done = two_processes("distil", *arguments, *lesson, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((output / "evaluation.json").read_text())
    assert done.stderr.count("checkpoint: ") == 1


def test_a_run_killed_at_any_moment_goes_on_to_the_same_checkpoint(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    output = tmp_path / "checkpoint"
    state = tmp_path / "checkpoint.resume.safetensors"
    arguments += ["--output", str(output), "--save-every-s", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "train", *arguments],
        cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr
        next(line for line in process.stderr if line.startswith("epoch 2:"))
        process.kill()
    assert process.returncode == -9
    assert state.is_file()
    assert not output.exists()

    assert main([*arguments, "--resume"]) == 0
    assert "resuming after epoch" in caplog.text
    resumed = (output / "model.safetensors").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert main(arguments) == 0
    assert (output / "model.safetensors").read_bytes() == resumed

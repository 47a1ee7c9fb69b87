"""Commands of all packages end alike: a reader who has seen enough, Ctrl-C, a pipe that breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import export.__main__
import serve.__main__
from tests.conftest import ROOT
from tests.serve.tiny import write_bundle


def run(*arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    return subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=pipe, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        "serve status",
        "train check train/sample",
        "export verify {bundle} --json",
        "benchmarks.report benchmarks/results/latency.json",
    ],
)
def test_a_reader_who_has_seen_enough_is_told_nothing_and_no_verdict_passes(
    command: str, tmp_path: Path
) -> None:
    words = command.format(bundle=write_bundle(tmp_path / "bundle")).split()
    reader, writer = os.pipe()
    os.close(reader)
    done = run("-m", *words, stdout=writer)
    os.close(writer)
    assert done.returncode == 1
    assert "rror" not in done.stderr


def test_a_pipe_that_breaks_elsewhere_is_told() -> None:
    done = run(
        "-c",
        "import os\nfrom serve.commands import exit_status\n"
        "reader, writer = os.pipe()\nos.close(reader)\n"
        "raise SystemExit(exit_status(lambda: os.write(writer, b'to a child')))",
    )
    assert (done.returncode, done.stderr) == (1, "error: [Errno 32] Broken pipe\n")


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("serve.commands.history.run", interrupt)
    assert serve.__main__.main(["history"]) == 1
    assert capsys.readouterr().err == "error: interrupted\n"
    monkeypatch.setattr("export.pipeline.export", interrupt)
    assert export.__main__.main([]) == 1
    assert capsys.readouterr().err == "error: interrupted; nothing was written\n"


@pytest.mark.parametrize("module", ["serve.commands.tag", "train.commands.check", "export.signing"])
def test_ctrl_c_while_a_command_is_imported_ends_without_a_word(module: str) -> None:
    verb = {"serve": "tag", "train": "check", "export": "sign"}[package := module.split(".")[0]]
    script = f"""
import os, signal, sys
from {package}.__main__ import main
class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupted())
raise SystemExit(main([{verb!r}, "--help"]))
"""
    done = run("-c", script)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")

"""Owns what makes a challenger the champion: its export and its publication, as commands.

Training and export do not know each other; each is a command to the other. The challenger gets the
graphs that the champion has, at the losses that were allowed it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from serve.artefacts.manifest import Manifest, Precision
from serve.errors import TaggingError

_ROOT = Path(__file__).resolve().parents[2]
_TENSORRT = "tensorrt/"


def export_bundle(folder: Path, checkpoint: str, bundle: str, like: Manifest) -> None:
    """Export a checkpoint of a folder into a bundle beside it.

    Args:
        folder: Holds the checkpoint.
        checkpoint: Its name.
        bundle: The bundle's.
        like: The manifest of a bundle that has the graphs wanted.

    Raises:
        TaggingError: If export refuses, with its reason.
    """
    _run(["export", "--model", checkpoint, "--output", bundle, *export_flags(like)], folder)


def export_flags(like: Manifest) -> list[str]:
    """Return the flags of export for the graphs of a bundle and the losses they were allowed.

    Losses are the same for all reduced graphs where a user named one, and else the defaults.
    """
    reduced = [graph for graph in like.graphs if graph.precision is not Precision.FP32]
    flags = [f"--{graph.precision}" for graph in reduced]
    if any(name.startswith(_TENSORRT) for name in like.files):
        flags.append("--tensorrt")
    for flag, allowed in (
        ("--allow-f1-loss", {graph.allowed_f1_loss_points for graph in reduced}),
        ("--allow-label-f1-loss", {graph.allowed_label_f1_loss_points for graph in reduced}),
    ):
        if len(allowed) == 1:
            flags += [flag, f"{allowed.pop():g}"]
    return flags


def publish_bundle(bundle: Path, repository: Path) -> int:
    """Put a bundle into a model repository; return its version.

    Raises:
        TaggingError: If the repository does not take it, with the reason.
    """
    where = ["--bundle", str(bundle.resolve()), "--repository", str(repository.resolve())]
    try:
        return int(_run(["serve", "publish", *where], _ROOT))
    except TaggingError as error:
        raise TaggingError(
            f"{error}; {bundle} was accepted, publish it with "
            f"{shlex.join(['python', '-m', 'serve', 'publish', *where])}"
        ) from error


def _run(arguments: list[str], folder: Path) -> str:
    """Return what a command of this project says on standard output.

    Raises:
        TaggingError: With the last line of what it says else, if it fails.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",  # which commands write, whatever the locale
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        reason = said[-1].removeprefix("error: ")
        raise TaggingError(f"python -m {arguments[0]}: expected it to succeed, got: {reason}")
    return done.stdout

"""Owns a version's TensorRT plan, which only Triton's own TensorRT backend runs.

A plan holds the graph's weights, and runs where it was built: no bundle has one, and no manifest
vouches for it. It is code, so whoever publishes one trusts it. A note that the bundle's `build.sh`
writes beside it says which graph it was built from. Once published it is one of the version's
files: it is kept, gone back to and removed with it.
"""

from __future__ import annotations

from pathlib import Path

from serve.artefacts.parts import MAX_GRAPH_BYTES, MAX_JSON_BYTES, check_plain, read_plain
from serve.bundle import Bundle
from serve.encoder_graph import TENSORRT_GRAPH
from serve.errors import BundleError
from serve.triton.names import PLAN_FILE, PLAN_NOTE

_BUILD = "tensorrt/build.sh"


def check_plan(plan: Path | None, bundle: Path) -> None:
    """Refuse a plan, if there is one, that was not built from a bundle's graph, as its note says.

    Raises:
        BundleError: If it was not, the bundle has no graph for TensorRT, or one of the two files is
            missing, a link, no plain file or too large.
    """
    if plan is None:
        return
    expected = Bundle.load(bundle).manifest.files.get(TENSORRT_GRAPH)
    if expected is None:
        raise BundleError(
            f"{bundle}: expected a graph for TensorRT that {plan} was built from, got none; export "
            "with --tensorrt, or publish without --plan"
        )
    _check(plan)
    note = _read(plan.with_name(plan.name + PLAN_NOTE), MAX_JSON_BYTES)
    found = note.decode(errors="replace").partition(" ")[0]  # as sha256sum writes it
    if found != expected:
        raise BundleError(
            f"{plan}: expected a plan of {bundle / TENSORRT_GRAPH}, SHA-256 {expected}, got one of "
            f"{found[:64]!r}; build it with {bundle / _BUILD}"
        )


def plan_of(version: Path) -> Path | None:
    """Return where the plan of a version lies, None if it has none.

    Raises:
        BundleError: If something else lies there.
    """
    plan = version / PLAN_FILE
    try:
        plan.lstat()
    except FileNotFoundError:
        return None
    _check(plan)
    return plan


def add_plan(folder: Path, plan: Path | None) -> None:
    """Put a copy of a plan, if any, where Triton looks for it in a version.

    Raises:
        BundleError: If it is missing, a link, no plain file or too large.
    """
    if plan is not None:
        (folder / PLAN_FILE).write_bytes(_read(plan, MAX_GRAPH_BYTES))


def _check(plan: Path) -> None:
    try:
        check_plain(plan, max_bytes=MAX_GRAPH_BYTES)
    except OSError as error:
        raise _refusal(plan, error) from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        return read_plain(path, max_bytes=max_bytes)
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> BundleError:
    return BundleError(
        f"{path}: expected a file that the bundle's {_BUILD} wrote, got {error.strerror}"
    )

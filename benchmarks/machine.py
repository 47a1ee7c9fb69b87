"""Owns the facts without which a figure means nothing: hardware, versions, commit, load."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and with what a run was made.

    Attributes:
        cpu: Model name of the processor.
        num_cores: Cores this process may use.
        gpu: Name of the GPU PyTorch sees, or None.
        memory_bytes: Main memory.
        system: Operating system.
        python: Version of Python.
        versions: Version of each package that matters here.
        commit: Commit of the code, with `+` when files differ from it; None outside a repository.
        load_average: Runnable processes in the minute before the run: others' work disturbs it.
        time: Start of the run, ISO 8601 in UTC.
    """

    cpu: str
    num_cores: int
    gpu: str | None
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]
    commit: str | None
    load_average: float
    time: str


def describe_machine() -> Machine:
    """Return the facts of this machine, now."""
    return Machine(
        cpu=_cpu(),
        num_cores=len(os.sched_getaffinity(0)),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in _PACKAGES if (found := _version(name))},
        commit=_commit(),
        load_average=os.getloadavg()[0],
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

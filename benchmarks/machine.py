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

from serve.running.cores import num_cores
from serve.running.processor import cpu_field, cpu_flags

CPU_FLAGS = {
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimddp", "i8mm", "bf16", "sve"),
}
"""Features of x86 and of Arm that decide how fast products are: how wide, and of which numbers."""

_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and with what a run was made.

    Attributes:
        cpu: Model name of the processor.
        cpu_family: Its family and model, which tell generations of one name apart; None in results
            made before they were recorded.
        cpu_model: See there.
        cpu_flags: Those of `CPU_FLAGS` that it has, sorted; None in such results.
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
    cpu_family: str | None = None
    cpu_model: str | None = None
    cpu_flags: list[str] | None = None
    num_cores: int
    gpu: str | None
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]
    commit: str | None
    load_average: float
    time: str

    @property
    def cores(self) -> str:
        """How many of which processor, for captions."""
        cores = f"{self.num_cores} cores of {self.cpu}"
        if self.cpu_flags is None:
            return cores
        which = (("family", self.cpu_family), ("model", self.cpu_model))
        facts = [*(f"{name} {value}" for name, value in which if value), *self.cpu_flags]
        return f"{cores} ({', '.join(facts)})" if facts else cores

    @property
    def hardware(self) -> str:
        """What ran, and what ran beside it, for captions."""
        gpu = f" and {self.gpu}" if self.gpu else ""
        return f"{self.cores}{gpu}, load {self.load_average:.1f} before the run"

    @property
    def software(self) -> str:
        """When, and of which versions, for captions."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        commit = f"commit {self.commit}, " if self.commit else ""
        return f"{self.time[:10]}, {commit}Python {self.python}, {versions}"


def describe_machine() -> Machine:
    """Return the facts of this machine, now."""
    return Machine(
        cpu=cpu_field("model name") or platform.machine(),
        cpu_family=cpu_field("cpu family") or None,
        cpu_model=cpu_field("model") or None,
        cpu_flags=sorted(cpu_flags() & CPU_FLAGS),
        num_cores=num_cores(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in _PACKAGES if (found := _version(name))},
        commit=_commit(),
        load_average=os.getloadavg()[0],
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


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

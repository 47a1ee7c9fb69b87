"""Owns where training runs and in what precision its matrix products are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from serve.errors import TaggingError

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's name
_CPUINFO = Path("/proc/cpuinfo")


def choose_device() -> torch.device:
    """Return the CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device, cpuinfo: Path = _CPUINFO) -> bool:
    """Tell whether a device multiplies bfloat16 in hardware.

    The CPU is asked itself: PyTorch's own check also says yes to processors that only emulate it,
    where bfloat16 is slower than FP32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _BF16_FLAGS.isdisjoint(_cpu_flags(cpuinfo))


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context whose matrix products are in bfloat16 where the hardware has it."""
    if has_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def out_of_memory_told() -> Iterator[None]:
    """Turn an accelerator's lack of memory into an error a user can act on.

    Raises:
        TaggingError: With the remedy.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = ". ".join(str(error).split(". ")[:2])  # the rest is advice for programmers
        raise TaggingError(
            f"expected room in the device's memory, got: {reason}; lower --batch-size"
        ) from error


def _cpu_flags(cpuinfo: Path) -> set[str]:
    if not cpuinfo.is_file():  # not Linux
        return set()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()

"""Owns where training runs and in what precision its matrix products are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from serve.errors import TaggingError
from serve.running.processor import CPUINFO, cpu_flags
from train.config import Arithmetic

_FORMATS = {
    Arithmetic.FP32: torch.float32,
    Arithmetic.BF16: torch.bfloat16,
    Arithmetic.FP16: torch.float16,
}
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's name


def has_bf16(device: torch.device, cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether a device multiplies bfloat16 in hardware.

    The CPU is asked itself: PyTorch's own check also says yes to processors that only emulate it,
    where bfloat16 is slower than FP32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _BF16_FLAGS.isdisjoint(cpu_flags(cpuinfo))


def number_format(arithmetic: Arithmetic, device: torch.device) -> torch.dtype:
    """Return the number format of matrix products on a device.

    Raises:
        TaggingError: If the device cannot be asked for that format.
    """
    if arithmetic is Arithmetic.AUTO:
        return torch.bfloat16 if has_bf16(device) else torch.float32
    if arithmetic is Arithmetic.FP16 and device.type != "cuda":
        raise TaggingError(
            f"--arithmetic fp16: expected a GPU, got {device.type}; choose bf16, or fp32"
        )
    return _FORMATS[arithmetic]


def format_name(dtype: torch.dtype) -> str:
    """Return a number format's name, as `bfloat16`."""
    return str(dtype).removeprefix("torch.")


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return a context whose matrix products are in a number format."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


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
            f"expected room in the device's memory, got: {reason}; raise --accumulate, or lower "
            "--batch-size"
        ) from error

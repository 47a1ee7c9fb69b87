"""Owns the flags that `optimum-cli export onnx` has too: its meaning, or a refusal that says why.

Those not here and not in `export.__main__` are unknown like any other, --trust-remote-code too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from export.config import FP32_ATOL, OPSET, Device
from serve.commands import number

_SETTLED = {
    "--opset": (str(OPSET), "which every fusion and the ONNX Runtime inside Triton know"),
    "--optimize": ("O2", "all fusions, GELU not approximated; mixed precision is --fp16"),
}


class _Settled(argparse.Action):
    """A flag with one value, which holds without it: any other is refused with the reason."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        expected, why = _SETTLED[self.option_strings[0]]
        if values != expected:
            raise argparse.ArgumentError(self, f"expected {expected}, {why}; got {values}")


def add_optimum_flags(parser: argparse.ArgumentParser) -> None:
    """Add --fp16 and --dtype, --device, --atol, --opset and --optimize to a parser."""
    fp16 = parser.add_mutually_exclusive_group()
    fp16.add_argument("--fp16", action="store_true", help="add a FP16 graph, for GPUs")
    fp16.add_argument(
        "--dtype", dest="fp16", type=_is_fp16, default=argparse.SUPPRESS, metavar="fp32|fp16",
        help="fp16 is --fp16; the FP32 graph is always there",
    )  # fmt: skip
    parser.add_argument(
        "--device", type=_device, metavar="cpu|cuda",
        help="where the FP16 graph is compared and gated (the GPU where there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--atol", type=number("a difference above 0", lambda atol: atol > 0), default=FP32_ATOL,
        help="largest difference of an FP32 logit from PyTorch's (%(default)s)",
    )  # fmt: skip
    for flag, (value, why) in _SETTLED.items():
        parser.add_argument(
            flag, action=_Settled, default=argparse.SUPPRESS, help=f"{value} only: {why}"
        )


def _is_fp16(text: str) -> bool:
    if text not in ("fp32", "fp16"):
        raise argparse.ArgumentTypeError(f"expected fp32 or fp16, got {text}; INT8 is --int8")
    return text == "fp16"


def _device(text: str) -> Device:
    try:
        return Device(text)
    except ValueError as error:
        expected = " or ".join(Device)
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text}") from error

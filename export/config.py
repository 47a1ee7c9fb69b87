"""Owns the settings of an export: every default, once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path

from serve.bundle import Precision, Provider

OPSET = 17  # ONNX Runtime inside current Triton containers is older than onnx's default opset
IR_VERSION = 8
FP32_ATOL = 1e-3
"""Largest difference of an FP32 graph's logit from PyTorch's: sums in another order give 2e-5."""

DEFAULT_ALLOWED_LOSS_POINTS = {
    Precision.FP32: 0.1,
    Precision.FP16: 0.1,
    Precision.PACKED: 0.1,
    Precision.INT8: 0.5,
}
DEFAULT_ALLOWED_LABEL_LOSS_POINTS = 1.5


class Device(StrEnum):
    """Where a graph runs, by PyTorch's name."""

    CPU = "cpu"
    CUDA = "cuda"

    @property
    def provider(self) -> Provider:
        """Its provider in ONNX Runtime."""
        return Provider.CUDA if self is Device.CUDA else Provider.CPU


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `python -m export`.

    Attributes:
        model: Checkpoint to export.
        output: Where the bundle goes.
        data: JSON lines to score every graph on; None for the checkpoint's own dev lines.
        fp16: Also write a FP16 graph.
        packed: Also write a FP16 graph that computes no padding; on a GPU only.
        int8: Also write an INT8 graph.
        tensorrt: Also write graphs for TensorRT, in FP16 and with `int8` in INT8.
        allow_f1_loss: Entity F1 points a reduced graph may lose instead of the defaults; recorded.
        allow_label_f1_loss: The same for each label by itself.
        device: Where to compare and gate FP16 graphs; None for the GPU where there is one.
        atol: Largest difference of an FP32 logit from PyTorch's.
        json: Print the report as JSON.
    """

    model: Path = Path("build/checkpoint")
    output: Path = Path("build/bundle")
    data: Path | None = None
    fp16: bool = False
    packed: bool = False
    int8: bool = False
    tensorrt: bool = False
    allow_f1_loss: float | None = None
    allow_label_f1_loss: float | None = None
    device: Device | None = None
    atol: float = FP32_ATOL
    json: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds that nothing could pass beyond, or nothing keep.

        Raises:
            ValueError: If a loss that is allowed, or `atol`, is not finite or below 0.
        """
        for name in ("allow_f1_loss", "allow_label_f1_loss", "atol"):
            bound = getattr(self, name)
            if bound is not None and not (isfinite(bound) and bound >= 0):
                raise ValueError(f"expected {name} of 0 or more, finite, got {bound}")

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Precisions to export, FP32 first."""
        reduced = (
            (Precision.FP16, self.fp16),
            (Precision.PACKED, self.packed),
            (Precision.INT8, self.int8),
        )
        return (Precision.FP32, *(precision for precision, wanted in reduced if wanted))

    def allowed_label_loss_points(self, precision: Precision) -> float:
        """Return the entity F1 points a graph of a precision may lose on one label."""
        if self.allow_label_f1_loss is None or precision == Precision.FP32:
            return DEFAULT_ALLOWED_LABEL_LOSS_POINTS
        return self.allow_label_f1_loss

    def allowed_loss_points(self, precision: Precision) -> float:
        """Return the entity F1 points a graph of a precision may lose."""
        if self.allow_f1_loss is None or precision == Precision.FP32:
            return DEFAULT_ALLOWED_LOSS_POINTS[precision]
        return self.allow_f1_loss

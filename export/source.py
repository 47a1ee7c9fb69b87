"""Owns what every graph of an export is made from and held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from export.checkpoint import Checkpoint
from export.config import ExportConfig
from export.parity import Reference
from export.precision.calibration import calibration_batches
from serve.encoding import EncodedBatch


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What every graph of an export is made from and held against.

    Attributes:
        config: The export's settings.
        checkpoint: The checkpoint.
        reference: PyTorch's answers on the dev lines.
        fused: The checkpoint's fused graph, FP32.
        cpu: The same in the operators that CPUs run fastest.
        calibration: Lines to calibrate on.
    """

    config: ExportConfig
    checkpoint: Checkpoint
    reference: Reference
    fused: onnx.ModelProto
    cpu: onnx.ModelProto
    calibration: Sequence[str]

    def batches(self, num_lines: int | None = None) -> Iterator[EncodedBatch]:
        """Yield the first calibration lines, or all, alone and joined; without padding."""
        return calibration_batches(self.checkpoint.encoder, self.calibration[:num_lines])

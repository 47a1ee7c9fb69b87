"""Owns the ways to run one tagger that are compared, and how each is opened."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

import onnx
import torch

from benchmarks.cuda.engine import Engine, NotMeasuredError
from benchmarks.cuda.ort_engine import OrtEngine
from benchmarks.cuda.served_engine import ServedEngine
from benchmarks.cuda.torch_engine import TorchEngine
from export.checkpoint import Checkpoint
from export.fusion.fuse import fuse
from export.fusion.packed import packed
from export.graph import export_graph
from export.precision.fp16 import to_fp16
from serve.bundle import Precision, Provider


class Variant(StrEnum):
    """A way to run a tagger."""

    TORCH = "PyTorch FP16"
    COMPILED = "PyTorch FP16, compiled"
    FP32 = "ONNX Runtime FP32"
    FP16 = "ONNX Runtime FP16"
    SERVED = "linetag FP16 as served"
    CUDA_GRAPHS = "ONNX Runtime FP16, CUDA graphs"
    PACKED = "ONNX Runtime FP16, packed"

    @property
    def precision(self) -> Precision:
        """Number format it is asked to run in."""
        return Precision.FP32 if self is Variant.FP32 else Precision.FP16


NEEDS_CUDA = frozenset({Variant.COMPILED, Variant.CUDA_GRAPHS, Variant.PACKED})
"""Variants of which a CPU has nothing to show; ONNX Runtime has no packed kernels there."""


class Source:
    """What all variants of one tagger are made from; graphs are made when first asked for.

    Attributes:
        checkpoint: The checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, fp16: bytes | None = None) -> None:
        """Take a checkpoint, and a FP16 graph that was made from it before, if there is one."""
        self.checkpoint = checkpoint
        self._given = fp16

    @cached_property
    def fp32(self) -> onnx.ModelProto:
        """The fused graph.

        Raises:
            GraphError: If it is not fused whole.
        """
        return fuse(export_graph(self.checkpoint), self.checkpoint.shape)

    @cached_property
    def fp16(self) -> onnx.ModelProto:
        """The fused graph in FP16; see `fp32`."""
        return onnx.load_from_string(self._given) if self._given else to_fp16(self.fp32)


def open_engine(variant: Variant, source: Source, provider: Provider) -> Engine:
    """Return a variant, ready to run.

    Raises:
        GraphError: If it does not run as asked.
        NotMeasuredError: If it needs a GPU and is to run on a CPU.
    """
    if provider is not Provider.CUDA and variant in NEEDS_CUDA:
        raise NotMeasuredError("needs a CUDA GPU")
    if variant in (Variant.TORCH, Variant.COMPILED):
        return TorchEngine(
            source.checkpoint.model, provider=provider, dtype=torch.float16,
            compiled=variant is Variant.COMPILED,
        )  # fmt: skip
    model = source.fp32 if variant is Variant.FP32 else source.fp16
    if variant is Variant.PACKED:
        model = packed(model, source.checkpoint.shape)
    graph = model.SerializeToString()
    if variant is Variant.SERVED:
        return ServedEngine(graph, provider=provider)
    return OrtEngine(graph, provider=provider, cuda_graphs=variant is Variant.CUDA_GRAPHS)


def reference(source: Source, provider: Provider) -> TorchEngine:
    """Return PyTorch in FP32, which all variants are held against."""
    return TorchEngine(source.checkpoint.model, provider=provider, dtype=torch.float32)

"""Owns the systems of the grid, tokens in, logits out: PyTorch, ONNX Runtime FP32 and INT8.

Each is what its user would run: PyTorch with its own fast attention, and the two CPU graphs that
`python -m export` makes, INT8 on as many threads as are quicker, as it is served. The INT8 graph is
calibrated on the grid's own random tokens: ranges change answers, not times. What export does to
uneven channels before that (`export.precision.smooth`, `.split`) costs up to 3 %, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from benchmarks.grid.plan import Cell, lengths, random_batch
from benchmarks.grid.products import Products, weights_of
from benchmarks.precision import precision_of, precision_of_dtype
from export.checkpoint import Checkpoint, TorchBackend
from export.fusion.cpu import for_cpu
from export.fusion.fuse import fuse
from export.graph import export_graph
from export.precision.calibration import activation_ranges
from export.precision.int8 import quantized_inputs, to_int8
from serve.backend import Backend
from serve.running.lanes import Lanes
from serve.running.quickest import QuickestBackend
from serve.running.threads import Threads, default_num_threads
from serve.session import OrtBackend
from serve.tagger import Tagger

PYTORCH, FP32, INT8 = "PyTorch FP32", "ONNX Runtime FP32", "linetag INT8"
_CHECKED = Cell(num_tokens=16, batch_size=8)


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One way from tokens to logits.

    Attributes:
        name: Short and unique.
        precision: Read back from its parameters or graph.
        provider: What runs it, read back.
        backend: Runs it.
    """

    name: str
    precision: str
    provider: str
    backend: Backend


@dataclass(frozen=True, slots=True, eq=False)
class Engines:
    """All that is measured of one model.

    Attributes:
        checkpoint: The model.
        engines: PyTorch first: the others are compared with it.
        lanes: The INT8 graph as it runs offline, one single-threaded lane a core, four at most.
        products: That graph's products with weights alone.
        int8: That graph.
        macs_per_token: Multiply-adds of these for one token.
    """

    checkpoint: Checkpoint
    engines: tuple[Engine, ...]
    lanes: Lanes
    products: Products
    int8: bytes
    macs_per_token: int

    @property
    def vocab_size(self) -> int:
        """Token ids the model takes, from 0."""
        return int(self.checkpoint.model.config.vocab_size)

    def tagger(self) -> Tagger:
        """Return the INT8 graph as it is served in process, text in, entities out."""
        return self.checkpoint.tagger(self.engines[-1].backend, lanes=self.lanes)

    def differences(self) -> dict[str, float]:
        """Return by how much each engine's logits differ from PyTorch's at most, on one batch."""
        batch = random_batch(_CHECKED, self.vocab_size)
        first = self.engines[0].backend.logits(batch)
        return {
            engine.name: float(np.abs(engine.backend.logits(batch) - first).max())
            for engine in self.engines
        }


def build_engines(checkpoint: Checkpoint) -> Engines:
    """Export a checkpoint and load it in all systems.

    Raises:
        GraphError: If fusion or quantization did not do its work.
    """
    model = for_cpu(fuse(export_graph(checkpoint), checkpoint.shape), checkpoint.shape)
    fp32, quantized = model.SerializeToString(), _quantized(model, checkpoint)
    int8 = quantized.SerializeToString()
    # Only now: export needs the slower attention, whose parts can be fused.
    checkpoint.model.set_attn_implementation("sdpa")
    plain = OrtBackend(fp32)
    several, lane = OrtBackend(int8), OrtBackend(int8, threads=Threads(1))
    torch_model = checkpoint.model
    dtype = precision_of_dtype(torch_model.dtype)
    return Engines(
        checkpoint,
        (
            Engine(PYTORCH, dtype, f"torch {torch_model.device}", TorchBackend(torch_model)),
            _in_runtime(FP32, fp32, plain, plain),
            _in_runtime(INT8, int8, several, QuickestBackend(several, lane)),
        ),
        Lanes(lane, default_num_threads()),
        Products(quantized),
        int8,
        macs_per_token(quantized),
    )


def macs_per_token(int8: onnx.ModelProto) -> int:
    """Return the multiply-adds of a graph's integer products for one token, from their weights.

    Attention's products of activations with one another, which run in FP32, are not counted.
    """
    return sum(int(np.prod(weight.dims)) for weight in weights_of(int8))


def _quantized(model: onnx.ModelProto, checkpoint: Checkpoint) -> onnx.ModelProto:
    vocab_size = int(checkpoint.model.config.vocab_size)
    batches = [
        random_batch(Cell(num_tokens, 1), vocab_size)
        for num_tokens in lengths(checkpoint.encoder.max_tokens)
    ]
    return to_int8(model, activation_ranges(model, quantized_inputs(model), batches))


def _in_runtime(name: str, graph: bytes, runtime: OrtBackend, backend: Backend) -> Engine:
    return Engine(name, precision_of(graph), str(runtime.provider), backend)

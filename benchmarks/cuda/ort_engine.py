"""Owns ONNX Runtime as an engine: buffers bound on the device, and CUDA graphs where asked for.

Inputs and logits of every shape have buffers of their own on the device, kept for the next batch of
that shape; a CUDA graph is recorded once for each shape and replayed from the same addresses.
TF32 is off, so that FP32 means FP32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.cuda.engine import EngineFacts
from benchmarks.cuda.placement import check_placement, nodes_by_provider
from benchmarks.precision import precision_of
from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError, first_line
from serve.running.bound import NOT_RECORDED, Bound, Buffers, run_options
from serve.running.provider import check_options, provider_options
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS

_REPORTED = ("enable_cuda_graph", "use_tf32")


class OrtEngine:
    """A graph in ONNX Runtime.

    Attributes:
        facts: What it is.
    """

    def __init__(self, graph: bytes, *, provider: Provider, cuda_graphs: bool = False) -> None:
        """Load a graph and run it once, profiled.

        Args:
            graph: The ONNX file's content.
            provider: The provider that shall run it.
            cuda_graphs: Whether to record a CUDA graph for each shape and replay it.

        Raises:
            GraphError: If the graph cannot be loaded or run, or does not run on the provider, or
                without the CUDA graphs asked for.
        """
        if provider is Provider.CUDA and provider in ort.get_available_providers():
            ort.preload_dlls()  # CUDA's libraries from their wheels, where the system has none
        self._current: Bound | None = None
        options = provider_options(provider, cuda_graphs=cuda_graphs)
        try:
            with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
                self._session = ort.InferenceSession(
                    graph,
                    _profiled(Path(folder)),
                    providers=[(str(provider), options)],
                    enable_fallback=0,
                )
                nodes = self._profiled_nodes()
        except GraphError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise GraphError(
                f"expected a graph that {provider} runs, got {first_line(error)}; "
                "use the build of onnxruntime for this hardware"
            ) from error
        check_placement(provider, nodes)
        reported = self._session.get_provider_options()[provider]
        check_options(options, reported)
        num_tags: int = self._session.get_outputs()[0].shape[2]
        self._buffers = Buffers(self._session, provider, num_tags=num_tags)
        self.facts = EngineFacts(
            provider=self._session.get_providers()[0],
            precision=precision_of(graph),
            nodes=nodes,
            options={name: reported[name] for name in _REPORTED if name in reported},
        )

    def load(self, batch: EncodedBatch) -> None:
        """Copy a batch into the buffers of its shape and wait for it."""
        self._current = self._buffers.load(batch)

    def run(self) -> None:
        """Run the batch that was loaded last; ONNX Runtime waits for the end.

        Raises:
            GraphError: If the graph cannot take the batch.
            ValueError: If none was loaded.
        """
        if self._current is None:
            raise ValueError("expected a batch to be loaded before a run, got none")
        try:
            self._buffers.run(self._current)
        except Exception as error:  # as above
            shape = self._current.input_ids.shape()
            raise GraphError(
                f"expected input_ids of shape {shape} to run, got {first_line(error)}"
            ) from error

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Load, run, and copy the scores back. Shape: (B, T, L), float32."""
        self.load(batch)
        self.run()
        assert self._current is not None
        return self._buffers.read(self._current)

    def _profiled_nodes(self) -> dict[str, int]:
        """Run two short rows and end the profiling; later runs are not slowed by it."""
        ids = np.ones((2, 8), dtype=np.int64)
        feeds = {INPUT_IDS.name: ids, ATTENTION_MASK.name: ids}
        self._session.run([LOGITS.name], feeds, run_options(NOT_RECORDED))
        return nodes_by_provider(Path(self._session.end_profiling()))


def _profiled(folder: Path) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; the checks say the rest
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    return options

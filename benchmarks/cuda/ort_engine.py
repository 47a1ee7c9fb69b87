"""Owns ONNX Runtime as an engine: buffers bound on the device, and CUDA graphs where asked for.

Inputs and logits of every shape have buffers of their own on the device, kept for the next batch of
that shape; a CUDA graph is recorded once for each shape and replayed from the same addresses.
TF32 is off, so that FP32 means FP32.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.cuda.engine import EngineFacts
from benchmarks.cuda.placement import check_placement, nodes_by_provider
from benchmarks.precision import precision_of
from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS

_NO_CUDA_GRAPH = "-1"  # ONNX Runtime's mark for a run that is neither recorded nor replayed
_REPORTED = ("enable_cuda_graph", "use_tf32")


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """Buffers of one shape on the device, bound to the session."""

    input_ids: ort.OrtValue
    attention_mask: ort.OrtValue
    logits: ort.OrtValue
    binding: ort.IOBinding
    options: ort.RunOptions


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
        self._bound: dict[tuple[int, ...], _Bound] = {}
        self._current: _Bound | None = None
        self._device = "cuda" if provider is Provider.CUDA else "cpu"
        options = provider_options(provider, cuda_graphs=cuda_graphs)
        try:
            with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
                self._session = ort.InferenceSession(
                    graph, _profiled(Path(folder)), providers=[(str(provider), options)]
                )
                nodes = self._profiled_nodes()
        except GraphError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no public base class
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise GraphError(
                f"expected a graph that {provider} runs, got {reason}; "
                "use the build of onnxruntime for this hardware"
            ) from error
        check_placement(provider, nodes)
        reported = self._session.get_provider_options()[provider]
        check_options(options, reported)
        self._num_tags: int = self._session.get_outputs()[0].shape[2]
        self.facts = EngineFacts(
            provider=self._session.get_providers()[0],
            precision=precision_of(graph),
            nodes=nodes,
            options={name: reported[name] for name in _REPORTED if name in reported},
        )

    def load(self, batch: EncodedBatch) -> None:
        """Copy a batch into the buffers of its shape and wait for it."""
        shape = batch.input_ids.shape
        bound = self._bound.get(shape)
        if bound is None:
            bound = self._bound[shape] = self._bind(batch)
        else:
            bound.input_ids.update_inplace(batch.input_ids)
            bound.attention_mask.update_inplace(batch.attention_mask)
        bound.binding.synchronize_inputs()  # copies and session have different streams
        self._current = bound

    def run(self) -> None:
        """Run the batch that was loaded last; ONNX Runtime waits for the end.

        Raises:
            GraphError: If the graph cannot take the batch.
            ValueError: If none was loaded.
        """
        if self._current is None:
            raise ValueError("expected a batch to be loaded before a run, got none")
        try:
            self._session.run_with_iobinding(self._current.binding, self._current.options)
        except Exception as error:  # as above
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            shape = self._current.input_ids.shape()
            raise GraphError(f"expected input_ids of shape {shape} to run, got {reason}") from error

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Load, run, and copy the scores back. Shape: (B, T, L), float32."""
        self.load(batch)
        self.run()
        assert self._current is not None
        # numpy() of a CPU value is a view of the buffer, which the next run overwrites.
        return np.array(self._current.logits.numpy(), dtype=np.float32)

    def _bind(self, batch: EncodedBatch) -> _Bound:
        shape = batch.input_ids.shape
        # A copy: on the CPU the value is a view of the array, and would write into the caller's.
        ids, mask = (
            ort.OrtValue.ortvalue_from_numpy(array.copy(), self._device, 0)
            for array in (batch.input_ids, batch.attention_mask)
        )
        logits = ort.OrtValue.ortvalue_from_shape_and_type(
            [*shape, self._num_tags], np.float32, self._device, 0
        )
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(INPUT_IDS.name, ids)
        binding.bind_ortvalue_input(ATTENTION_MASK.name, mask)
        binding.bind_ortvalue_output(LOGITS.name, logits)
        return _Bound(ids, mask, logits, binding, _run_options(str(len(self._bound) + 1)))

    def _profiled_nodes(self) -> dict[str, int]:
        """Run two short rows and end the profiling; later runs are not slowed by it."""
        ids = np.ones((2, 8), dtype=np.int64)
        feeds = {INPUT_IDS.name: ids, ATTENTION_MASK.name: ids}
        self._session.run([LOGITS.name], feeds, _run_options(_NO_CUDA_GRAPH))
        return nodes_by_provider(Path(self._session.end_profiling()))


def provider_options(provider: Provider, *, cuda_graphs: bool) -> dict[str, str]:
    """Return the options a provider is asked for; the CPU has none."""
    if provider is not Provider.CUDA:
        return {}
    return {"enable_cuda_graph": str(int(cuda_graphs)), "use_tf32": "0"}


def check_options(asked: dict[str, str], reported: dict[str, str]) -> None:
    """Close on a session that runs with other options than it was given.

    Raises:
        GraphError: Naming the option.
    """
    for name, value in asked.items():
        if reported.get(name) != value:
            raise GraphError(
                f"expected the provider option {name}={value}, got {reported.get(name)}; "
                "install the build of onnxruntime for this hardware and its libraries"
            )


def _profiled(folder: Path) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; the checks say the rest
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    return options


def _run_options(cuda_graph: str) -> ort.RunOptions:
    """Return the options of a run that records or replays one CUDA graph, where there are any."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", cuda_graph)
    return options

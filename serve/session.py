"""Owns the ONNX Runtime session: provider, threads, and the checks that they are what was asked.

ONNX Runtime falls back to the CPU without a word when a provider cannot be loaded; this module
reads the provider back and refuses instead.
"""

from __future__ import annotations

import glob
import logging
import os
from dataclasses import replace

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError, first_line
from serve.running.bound import NOT_RECORDED, Buffers, run_options
from serve.running.ort_errors import ORT_ERRORS
from serve.running.products import needs_exact_kernel
from serve.running.provider import check_options, provider_options
from serve.running.replay import Replay
from serve.running.threads import Threads, default_num_threads
from serve.tensors import (
    ATTENTION_MASK,
    INPUT_IDS,
    INPUTS,
    LOGITS,
    OUTPUTS,
    IdType,
    TensorSpec,
)

logger = logging.getLogger(__name__)
_NO_RECORDING = "cannot use the graph capture feature"  # ONNX Runtime's words for it
_GPU_DEVICES = ("/dev/nvidia[0-9]*", "/dev/dxg")  # a container may have any one; WSL's
_ORT_TYPES = {"int64": "tensor(int64)", "int32": "tensor(int32)", "float32": "tensor(float)"}


class OrtBackend:
    """A graph in ONNX Runtime; on a GPU, single texts by CUDA graphs where it can be recorded.

    Attributes:
        provider: The provider that runs the graph, as the session reports it.
        num_tags: L, the number of tags the graph scores.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        provider: Provider = Provider.CPU,
        threads: Threads | None = None,
        ids: IdType = "int64",
        cuda_graphs: bool = True,
    ) -> None:
        """Load a graph.

        Args:
            graph: The ONNX file's content.
            provider: The provider that must run it.
            threads: Threads inside an operator; None for `default_num_threads`.
            ids: Element type of its inputs.
            cuda_graphs: Whether to record single texts on a GPU; no packed graph can be, for the
                size of what it computes is known on the way only.

        Raises:
            GraphError: If the graph cannot be loaded, has other tensors than `serve.tensors` says,
                or the provider is not the one asked for.
        """
        options = ort.SessionOptions()
        threads = threads or Threads(default_num_threads())
        options.intra_op_num_threads = threads.num
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads.spin)))
        # Threads spin within a run only: after it they would take a core, for 20 ms, from whoever
        # has the next step; benchmarks/README.md has what that costs.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 4  # fatal ones: errors are raised, and told once
        # Weights outside the graph's own bytes would not have been hashed: nothing lies here.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", os.devnull
        )
        # Else what begins as ONNX Runtime's own format is another graph than was checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if needs_exact_kernel(graph):
            options.add_session_config_entry("session.x64quantprecision", "1")
        if provider is Provider.CUDA and provider in ort.get_available_providers():
            ort.preload_dlls()  # CUDA's libraries from their wheels, where the system has none
        wanted = cuda_graphs and provider is Provider.CUDA
        self._session, cuda_graphs = _open(graph, options, provider, wanted)
        inputs = tuple(replace(spec, dtype=ids) for spec in INPUTS)
        _check_tensors("input", inputs, self._session.get_inputs())
        _check_tensors("output", OUTPUTS, self._session.get_outputs())
        self.provider = provider
        self._process = os.getpid()
        self._ids = ids
        self.num_tags: int = self._session.get_outputs()[0].shape[2]
        self._plain_run = run_options(NOT_RECORDED) if cuda_graphs else None
        buffers = Buffers(self._session, provider, num_tags=self.num_tags, ids=ids)
        self._replay = Replay(self._run, buffers) if cuda_graphs else None

    @property
    def replayed(self) -> frozenset[int]:
        """Lengths of single texts that run as CUDA graphs at present, in tokens."""
        return self._replay.lengths if self._replay else frozenset()

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag.

        Returns:
            Shape: (B, T, L), float32.

        Raises:
            GraphError: If the graph cannot take the batch: ids or lengths beyond its embeddings; or
                in the child of a fork on a GPU, where CUDA and the thread of `Replay` are lost.
        """
        if self.provider is Provider.CUDA and self._process != os.getpid():
            raise GraphError(
                f"expected process {self._process}, which loaded the graph on {self.provider}, "
                f"got its fork {os.getpid()}; load it in the child"
            )
        try:
            return self._replay.logits(batch) if self._replay else self._run(batch)
        except ORT_ERRORS as error:
            raise GraphError(
                f"expected input_ids of shape {batch.input_ids.shape} to run, "
                f"got {first_line(error)}"
            ) from error

    def _run(self, batch: EncodedBatch) -> NDArray[np.float32]:
        feeds = {
            INPUT_IDS.name: batch.input_ids.astype(self._ids, copy=False),
            ATTENTION_MASK.name: batch.attention_mask.astype(self._ids, copy=False),
        }
        logits: NDArray[np.float32] = self._session.run([LOGITS.name], feeds, self._plain_run)[0]
        return logits


def default_provider() -> Provider:
    """Return CUDA where this build of ONNX Runtime offers it and there is a GPU to see, else CPU.

    A GPU build offers CUDA on any machine, so the device itself is looked for too; and
    CUDA_VISIBLE_DEVICES may hide it.
    """
    offered = Provider.CUDA in ort.get_available_providers()
    first_visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    is_there = first_visible not in ("", "-1") and any(map(glob.glob, _GPU_DEVICES))
    return Provider.CUDA if offered and is_there else Provider.CPU


def trial_provider(*, needs_cuda: bool) -> Provider | None:
    """Return what tries a graph out, whatever it is meant for; None where it needs what is missing.

    That is the CPU, which every machine has, unless the graph needs a GPU.
    """
    if not needs_cuda:
        return Provider.CPU
    return Provider.CUDA if default_provider() is Provider.CUDA else None


def _open(
    graph: bytes, options: ort.SessionOptions, provider: Provider, wanted: bool
) -> tuple[ort.InferenceSession, bool]:
    """Return a session on the provider, and whether it records CUDA graphs as wanted.

    ONNX Runtime refuses to record a graph of which a node but for shapes would run on the CPU.
    """
    while True:
        asked = provider_options(provider, cuda_graphs=wanted)
        try:
            session = ort.InferenceSession(
                graph, options, providers=[(str(provider), asked)], enable_fallback=0
            )
        except ORT_ERRORS as error:
            if not (wanted and _NO_RECORDING in str(error)):
                raise GraphError(
                    f"expected a graph ONNX Runtime can load, got {first_line(error)}"
                ) from error
            logger.warning("expected a graph that can be recorded, got %s", first_line(error))
            wanted = False
            continue
        forget_bytes(session)
        _check_provider(provider, session.get_providers())
        check_options(asked, session.get_provider_options()[provider])
        return session, wanted


def forget_bytes(session: ort.InferenceSession) -> None:
    """Let go of the file that a session was loaded from, which would take as much memory again.

    ONNX Runtime's Python class keeps it, to load it once more if a provider fails.
    """
    session._model_bytes = None


def _check_provider(expected: Provider, actual: list[str]) -> None:
    if actual[:1] != [expected]:
        raise GraphError(
            f"expected the graph to run on {expected}, got {actual}; "
            "install the build of onnxruntime for this hardware and its libraries"
        )


def _check_tensors(kind: str, specs: tuple[TensorSpec, ...], actual: list[ort.NodeArg]) -> None:
    expected = [(spec.name, _ORT_TYPES[spec.dtype], len(spec.axes)) for spec in specs]
    got = [(arg.name, arg.type, len(arg.shape)) for arg in actual]
    if sorted(got) != sorted(expected):
        raise GraphError(f"expected the {kind}s {expected} (name, type, rank), got {got}")

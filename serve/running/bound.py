"""Owns running a session on buffers that stay where they are, one set for each shape of a batch.

No buffer is made after the first batch of a shape. On a GPU the same addresses let ONNX Runtime
record the kernels of a shape once, as a CUDA graph, and replay them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS, IdType

NOT_RECORDED = "-1"
"""ONNX Runtime's mark for a run that is neither recorded nor replayed."""
_DEVICES = {Provider.CPU: "cpu", Provider.CUDA: "cuda"}


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Buffers of one shape on the device, bound to the session."""

    input_ids: ort.OrtValue
    attention_mask: ort.OrtValue
    logits: ort.OrtValue
    binding: ort.IOBinding
    options: ort.RunOptions


class Buffers:
    """The buffers of a session, made when a shape is first seen and kept for as long as it is."""

    def __init__(
        self,
        session: ort.InferenceSession,
        provider: Provider,
        *,
        num_tags: int,
        ids: IdType = "int64",
    ) -> None:
        """Take the session, the provider that runs it, and the L tags that it scores."""
        self._session = session
        self._device = _DEVICES[provider]
        self._num_tags = num_tags
        self._ids = ids
        self._bound: dict[tuple[int, ...], Bound] = {}
        self._masks: dict[tuple[int, ...], bytes] = {}

    def load(self, batch: EncodedBatch) -> Bound:
        """Copy a batch into the buffers of its shape, wait for it, and return them."""
        shape, mask = batch.input_ids.shape, batch.attention_mask.astype(self._ids, copy=False)
        content = mask.tobytes()
        bound = self._bound.get(shape)
        if bound is None:
            bound = self._bound[shape] = self._bind(batch)
        else:
            bound.input_ids.update_inplace(batch.input_ids.astype(self._ids, copy=False))
            if content != self._masks[shape]:  # most lines of a length have the same: a copy less
                bound.attention_mask.update_inplace(mask)
        self._masks[shape] = content
        bound.binding.synchronize_inputs()  # copies and session have different streams
        return bound

    def run(self, bound: Bound) -> None:
        """Run what was loaded, and wait for the end.

        Where the session has CUDA graphs, a shape's first run records one and the others replay it.
        """
        self._session.run_with_iobinding(bound.binding, bound.options)

    def read(self, bound: Bound) -> NDArray[np.float32]:
        """Return a copy of the scores. Shape: (B, T, L), float32."""
        # numpy() of a CPU value is a view of the buffer, which the next run overwrites.
        return np.array(bound.logits.numpy(), dtype=np.float32)

    def _bind(self, batch: EncodedBatch) -> Bound:
        shape = batch.input_ids.shape
        # A copy: on the CPU the value is a view of the array, and would write into the caller's.
        ids, mask = (
            ort.OrtValue.ortvalue_from_numpy(array.astype(self._ids), self._device, 0)
            for array in (batch.input_ids, batch.attention_mask)
        )
        logits = ort.OrtValue.ortvalue_from_shape_and_type(
            [*shape, self._num_tags], np.float32, self._device, 0
        )
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(INPUT_IDS.name, ids)
        binding.bind_ortvalue_input(ATTENTION_MASK.name, mask)
        binding.bind_ortvalue_output(LOGITS.name, logits)
        return Bound(ids, mask, logits, binding, run_options(str(len(self._bound) + 1)))


def run_options(cuda_graph: str) -> ort.RunOptions:
    """Return the options of a run that records or replays one CUDA graph, where there are any."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", cuda_graph)
    return options

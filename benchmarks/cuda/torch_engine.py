"""Owns PyTorch as an engine: FP32 as the reference, FP16 as what a user could run instead.

Compiled means `torch.compile` with CUDA graphs ("reduce-overhead") and dynamic shapes: one
compilation serves all lengths, where a compilation for each would take an hour.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from benchmarks.cuda.engine import EngineFacts
from benchmarks.precision import precision_of_dtype
from serve.bundle import Provider
from serve.encoding import EncodedBatch


class TorchEngine:
    """A tagger in PyTorch, with its fused attention.

    Attributes:
        facts: What it is.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        provider: Provider,
        dtype: torch.dtype,
        compiled: bool = False,
    ) -> None:
        """Copy a model to the device.

        Args:
            model: In evaluation mode; it stays as it is.
            provider: CUDA, or the CPU.
            dtype: Number format of weights and activations.
            compiled: Whether to compile it.
        """
        self._device = torch.device("cuda" if provider is Provider.CUDA else "cpu")
        own = copy.deepcopy(model)
        torch.nn.Module.to(own, self._device, dtype)  # the model's own `to` is not typed
        own.set_attn_implementation("sdpa")
        self._compiled = compiled
        self._model: Any = own
        if compiled:
            self._model = torch.compile(own, dynamic=True, mode="reduce-overhead")
        self._inputs: dict[str, torch.Tensor] = {}
        self._logits: torch.Tensor | None = None
        self.facts = EngineFacts(
            provider=f"torch {own.device}", precision=precision_of_dtype(own.dtype)
        )

    def load(self, batch: EncodedBatch) -> None:
        """Copy a batch to the device and wait for it."""
        self._inputs = {
            "input_ids": torch.from_numpy(batch.input_ids).to(self._device),
            "attention_mask": torch.from_numpy(batch.attention_mask).to(self._device),
        }
        self._wait()

    def run(self) -> None:
        """Run the batch that was loaded last, and wait for the end."""
        if self._compiled:  # the outputs of the run before may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            self._logits = self._model(**self._inputs).logits
        self._wait()

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Load, run, and copy the scores back. Shape: (B, T, L), float32."""
        self.load(batch)
        self.run()
        assert self._logits is not None
        logits: NDArray[np.float32] = self._logits.float().cpu().numpy()
        return logits

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

"""Owns the step from PyTorch to ONNX, with the names and axes of `serve.tensors`.

The exporter is torch's TorchScript one with eager attention: of those measured, the only pair whose
graph ONNX Runtime's optimizer fuses whole, embeddings included. It is deprecated but kept in torch;
parity with PyTorch is checked after every export, because tracing warns of nothing.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.config import IR_VERSION, OPSET
from serve.tensors import INPUTS, OUTPUTS


class _LogitsOnly(nn.Module):
    """The model as a function of the two inputs of the contract."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Return the checkpoint as an unfused FP32 graph of standard operators."""
    # eval() on the wrapper too: the exporter restores its mode to all it holds, dropout included.
    wrapper = _LogitsOnly(checkpoint.model).eval()
    input_ids = torch.arange(8, dtype=torch.int64).reshape(2, 4) % 4
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 3:] = 0  # tracing must see padding
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # deprecation and tracing chatter; parity decides
        torch.onnx.export(
            wrapper,
            (input_ids, attention_mask),
            path,
            input_names=[spec.name for spec in INPUTS],
            output_names=[spec.name for spec in OUTPUTS],
            dynamic_axes={spec.name: {0: "B", 1: "T"} for spec in (*INPUTS, *OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    model.ir_version = IR_VERSION
    return model

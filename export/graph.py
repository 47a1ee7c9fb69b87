"""Owns the step from PyTorch to ONNX, with the names and axes of `serve.tensors`.

The exporter is torch's own of today (`dynamo=True`). Two things are said to the model so that its
graph is plain:
* *mask*: the additive mask itself, `(1 - attention_mask) * lowest`. Shape: (B, 1, 1, T). Left to
  itself transformers builds an equal one, (B, 1, T, T), from ranges and comparisons.
* *token types*: type 0, the only one a tagger sees, once and not per token, so that its embedding
  is a constant.

Parity with PyTorch, which gets neither, is checked after every export.
"""

from __future__ import annotations

import ast
import inspect
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.config import IR_VERSION, OPSET
from serve.errors import GraphError
from serve.tensors import INPUTS, OUTPUTS

_SCOPES = "pkg.torch.onnx.name_scopes"  # where the exporter notes the module of a node
_EXPORTED_OPSET = 18  # the exporter's oldest
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")


class _Tagger(nn.Module):
    """The model as a function of the two inputs of the contract."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.has_token_types = "token_type_ids" in inspect.signature(model.forward).parameters

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        ignored = 1 - attention_mask[:, None, None, :].to(torch.float32)
        inputs = {"attention_mask": ignored * torch.finfo(torch.float32).min}
        if self.has_token_types:
            inputs["token_type_ids"] = torch.zeros(1, 1, dtype=torch.int64)
        logits: Tensor = self.model(input_ids=input_ids, **inputs).logits
        return logits


def export_graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Return the checkpoint as an unfused FP32 graph of standard operators.

    Raises:
        GraphError: If the model needs operators that are newer than `OPSET`.
    """
    # eval() on the wrapper too: the exporter restores its mode to all it holds, dropout included.
    tagger = _Tagger(checkpoint.model).eval()
    input_ids = torch.arange(8, dtype=torch.int64).reshape(2, 4) % 4
    axes = {0: torch.export.Dim("B"), 1: torch.export.Dim("T")}
    with _quiet():
        program = torch.onnx.export(
            tagger,
            (input_ids, torch.ones_like(input_ids)),
            input_names=[spec.name for spec in INPUTS],
            output_names=[spec.name for spec in OUTPUTS],
            dynamic_shapes=(axes,) * len(INPUTS),
            opset_version=_EXPORTED_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # dynamo=True returns one
    model = program.model
    _name_by_module(model.graph)
    for node in model.graph:
        node.attributes.pop("allowzero", None)  # no size is 0: let 0 say "as in the input" again
    _pin_versions(model)
    _clear_notes(model)
    return ir.to_proto(model)


def _name_by_module(graph: ir.Graph) -> None:
    """Name each node, and the weight of each product, after its module in PyTorch."""
    counts: Counter[str] = Counter()
    for node in graph:
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        module = next((s for s in reversed(scopes[:-1]) if s.startswith("model.")), "inputs")
        name = f"{module}/{node.op_type}"
        node.name = f"{name}_{counts[name]}" if counts[name] else name
        counts[name] += 1
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is not None and weight.is_initializer():
            weight.name = f"{module}.weight"


def _clear_notes(model: ir.Model) -> None:
    """Take out the exporter's notes: stack traces among them, with paths of this machine."""
    common.ClearMetadataAndDocStringPass()(model)
    graph = model.graph
    outputs = (value for node in graph for value in node.outputs)
    for value in (*graph.inputs, *graph.initializers.values(), *outputs):
        value.metadata_props.clear()


def _pin_versions(model: ir.Model) -> None:
    """Write down `OPSET` and `IR_VERSION`, once each operator is the same in both opsets.

    Raises:
        GraphError: Naming the operators that are not.
    """
    exported = model.opset_imports[""]
    newer = {
        node.op_type
        for node in model.graph
        if onnx.defs.get_schema(node.op_type, exported).since_version > OPSET
    }
    if newer:
        raise GraphError(
            f"expected operators as they are in opset {OPSET}, got newer {sorted(newer)}; "
            "use a supported BERT family whose hidden_act is older, such as gelu, and the pinned "
            "version of torch"
        )
    model.opset_imports[""] = OPSET
    model.ir_version = IR_VERSION


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter says of itself; the checks and parity decide."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

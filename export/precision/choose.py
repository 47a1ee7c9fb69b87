"""Owns the choice of a precision's graph: the first that passes the gate, or why none did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import onnx

from export.fusion.packed import packed
from export.judge import Candidate, Gated, Judge
from export.precision.choose_fp16 import choose_fp16
from export.precision.choose_int8 import choose_int8
from export.source import Source
from serve.bundle import Precision
from serve.errors import ParityError


def choose_graph(source: Source, precision: Precision, earlier: Sequence[Gated] = ()) -> Gated:
    """Return the first graph of a precision that passes the gate.

    Args:
        source: What it is made from.
        precision: Its precision.
        earlier: The graphs that passed before it; the packed one is made from the one in FP16.

    Raises:
        GraphError: If a conversion did not do its work.
        ParityError: If none passes.
    """
    judge = Judge(source, precision)
    choices: dict[Precision, Callable[[Source, Judge], Gated | None]] = {
        Precision.FP32: _choose_fp32,
        Precision.FP16: choose_fp16,
        Precision.PACKED: partial(_choose_packed, earlier=earlier),
        Precision.INT8: choose_int8,
    }
    gated = choices[precision](source, judge)
    if gated is None:
        raise _refusal(judge, precision)
    # The search goes on for a while after a graph has passed, to do with fewer nodes in FP32.
    return replace(gated, trials=tuple(judge.trials))


def _choose_fp32(source: Source, judge: Judge) -> Gated | None:
    return judge.passed(Candidate(source.cpu, "fused"))


def _choose_packed(source: Source, judge: Judge, earlier: Sequence[Gated]) -> Gated | None:
    (fp16,) = (graph for graph in earlier if graph.file.info.precision is Precision.FP16)
    model = packed(onnx.load_from_string(fp16.file.content), source.checkpoint.shape)
    nodes = fp16.file.info.fp32_nodes
    candidate = Candidate(model, f"{fp16.method}, no padding", fp32_nodes=nodes)
    return judge.passed(candidate, fp16.reasons)


def _refusal(judge: Judge, precision: Precision) -> ParityError:
    """Return why the best graph was refused, and how many there were."""
    error, tried = judge.best_refusal(), len(judge.trials)
    if tried == 1:
        return error
    how = "post-training quantization" if precision is Precision.INT8 else "FP16"
    return ParityError(f"{error}; {how} does not pass here, this was the best of {tried} graphs")

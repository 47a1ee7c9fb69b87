"""Owns where a line's time goes inside the INT8 graph, by operator: ONNX Runtime's profiler.

On one thread, where nothing waits for another. The profiler takes its own time at every node, so
that the shares are what to read, and small operators look a little larger than they are.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime as ort

from serve.encoding import EncodedBatch
from serve.tensors import ATTENTION_MASK, INPUT_IDS

NUM_RUNS = 200
_WARM_RUNS = 50
_KERNEL = "_kernel_time"


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """What the nodes of one operator take in one run.

    Attributes:
        length: Tokens of the line.
        operator: Name of the operator.
        num_nodes: How many nodes of it run.
        p50_s: Seconds of all its nodes in a run, the median over the runs.
    """

    length: int
    operator: str
    num_nodes: int
    p50_s: float


def operator_times(graph: bytes, batch: EncodedBatch) -> tuple[OperatorTime, ...]:
    """Return the time of each operator of a graph on one thread, the longest first."""
    feeds = {INPUT_IDS.name: batch.input_ids, ATTENTION_MASK.name: batch.attention_mask}
    runs = _profiled(graph, feeds)[_WARM_RUNS:]
    length = batch.input_ids.shape[1]
    nodes = Counter(event["args"]["op_name"] for event in runs[0])
    times = [
        OperatorTime(length, name, count, median(_seconds(run, name) for run in runs))
        for name, count in nodes.items()
    ]
    return tuple(sorted(times, key=lambda time: -time.p50_s))


def _profiled(graph: bytes, feeds: Mapping[str, object]) -> list[list[dict[str, Any]]]:
    """Return the profiler's events of the nodes of each run."""
    with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(_WARM_RUNS + NUM_RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_bytes())
    nodes = [event for event in events if event["name"].endswith(_KERNEL)]
    per_run = len(nodes) // (_WARM_RUNS + NUM_RUNS)
    return [nodes[start : start + per_run] for start in range(0, len(nodes), per_run)]


def _seconds(run: list[dict[str, Any]], operator: str) -> float:
    took_us: list[int] = [e["dur"] for e in run if e["args"]["op_name"] == operator]
    return sum(took_us) / 1e6

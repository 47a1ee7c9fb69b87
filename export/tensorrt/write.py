"""Owns what `--tensorrt` adds to a bundle, and the checks a graph passes before it is added.

    tensorrt/
        model_fp16.onnx, model_int8.onnx    strongly typed; INT8 with explicit Q/DQ
        profiles.json                       optimization profiles per length bucket
        build.sh                            trtexec commands that build the engines, and put them
                                            with Triton's settings beside the bundle
        model_repository/NAME/config.pbtxt  Triton's settings
        gate.json                           what each graph scored

Each graph passes the lint and the gate on entity F1; of INT8, the first calibration that does is
taken, from minimum to maximum or tighter. No TensorRT is at hand when exporting: ONNX Runtime runs
the same graph on the CPU, and PyTorch in FP16 stands in for what FP16 does to sums there.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import onnx

from export.bundle import GRAPH_FILES
from export.precision.histograms import calibrations
from export.source import Source
from export.tensorrt.commands import BUILD, build_script
from export.tensorrt.fp16 import to_fp16
from export.tensorrt.gate import first_passed
from export.tensorrt.int8 import quantized_inputs, to_int8
from export.tensorrt.lint.command import is_ready, lint
from export.tensorrt.triton import CONFIG, REPOSITORY, engine_config_text, model_name
from serve.bundle import Precision
from serve.encoder_graph import TENSORRT
from serve.errors import GraphError
from serve.triton.profiles import PROFILES, profiles_for, to_json

GATE = "gate.json"


def write_tensorrt(source: Source, plain: onnx.ModelProto) -> dict[str, bytes]:
    """Return the files of `tensorrt/`, by their path in the bundle.

    Args:
        source: What the graphs are made from; INT8 is made if its settings ask for it.
        plain: What `for_tensorrt` made of the checkpoint's graph.

    Raises:
        GraphError: If a graph cannot be converted, or the lint does not find it ready.
        ParityError: If a graph costs more entity F1 than allowed.
        ServerError: If tritonclient is not installed.
    """
    checkpoint = source.checkpoint
    passed = [first_passed(source, Precision.FP16, [("cast", to_fp16(plain))])]
    if source.config.int8:
        quantized = _quantized(source, plain, passed[0].graph)
        passed.append(first_passed(source, Precision.INT8, quantized))
    graphs = {one.record.precision: one.graph for one in passed}
    profiles = profiles_for(checkpoint.encoder.max_tokens)
    names = {precision: GRAPH_FILES[precision] for precision in graphs}
    files = {GRAPH_FILES[p]: graph.SerializeToString() for p, graph in graphs.items()}
    files[PROFILES] = to_json(profiles).encode()
    check_ready(files, list(names.values()))
    files[BUILD] = build_script(names, profiles).encode()
    files[GATE] = (json.dumps([asdict(one.record) for one in passed], indent=2) + "\n").encode()
    for precision in graphs:
        settings = engine_config_text(
            precision, num_tags=len(checkpoint.tags.names), profiles=profiles
        )
        files[f"{REPOSITORY}/{model_name(precision)}/{CONFIG}"] = settings.encode()
    return {f"{TENSORRT}/{name}": content for name, content in files.items()}


def check_ready(files: dict[str, bytes], graphs: Sequence[str]) -> None:
    """Lint graphs as they will lie on the disk.

    Raises:
        GraphError: With the first finding that makes one not ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        for name in graphs:
            findings = lint(Path(folder) / name)
            if not is_ready(findings):
                raise GraphError(f"{TENSORRT}/{name}: {findings[0]}")


def _quantized(
    source: Source, plain: onnx.ModelProto, fp16: onnx.ModelProto
) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield the INT8 graph of each way to calibrate, made only when it is asked for."""
    for method, ranges in calibrations(plain, quantized_inputs(plain), source.batches):
        yield method, to_int8(fp16, ranges)

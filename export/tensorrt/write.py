"""Owns what `--tensorrt` adds to a bundle, and the checks a graph passes before it is added.

    tensorrt/
        model_fp16.onnx, model_int8.onnx    strongly typed; INT8 with explicit Q/DQ
        profiles.json                       optimization profiles per length bucket
        build.sh                            trtexec commands that build the engines
        model_repository/NAME/config.pbtxt  Triton's settings; build.sh puts the engine beside it
        gate.json                           what each graph scored

Each graph passes the lint and the gate on entity F1. No TensorRT is at hand when exporting: ONNX
Runtime runs the same graph on the CPU, and PyTorch in FP16 stands in for what FP16 does to sums
there.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx

from export.bundle import GRAPH_FILES
from export.checkpoint import Checkpoint
from export.config import ExportConfig
from export.gate import Allowance, check_gate
from export.parity import ParityReport, Reference
from export.precision.calibration import activation_ranges, calibration_batches
from export.tensorrt.commands import BUILD, build_script
from export.tensorrt.fp16 import to_fp16
from export.tensorrt.int8 import quantized_inputs, to_int8
from export.tensorrt.lint.command import is_ready, lint
from export.tensorrt.triton import CONFIG, REPOSITORY, engine_config_text, model_name
from serve.bundle import Precision, Provider
from serve.encoder_graph import TENSORRT
from serve.errors import GraphError, ParityError
from serve.session import OrtBackend
from serve.tagger import Tagger
from serve.triton.profiles import PROFILES, profiles_for, to_json

GATE = "gate.json"
MEASURED_ON = {
    Precision.FP16: f"{Provider.CPU} and PyTorch in FP16",
    Precision.INT8: f"{Provider.CPU}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """What a graph scored; the figures are those of `serve.bundle.GraphInfo`."""

    file: str
    precision: Precision
    measured_on: str
    max_abs_diff: float
    tag_agreement: float
    f1_before: float
    f1_after: float
    allowed_f1_loss_points: float
    allowed_label_f1_loss_points: float


def write_tensorrt(
    config: ExportConfig,
    checkpoint: Checkpoint,
    reference: Reference,
    plain: onnx.ModelProto,
    calibration: Sequence[str],
) -> dict[str, bytes]:
    """Return the files of `tensorrt/`, by their path in the bundle.

    Args:
        config: The export's settings; INT8 is made if they ask for it.
        checkpoint: What is exported.
        reference: PyTorch's answers.
        plain: What `for_tensorrt` made of the checkpoint's graph.
        calibration: Lines to measure activations on, for INT8.

    Raises:
        GraphError: If a graph cannot be converted, or the lint does not find it ready.
        ParityError: If a graph costs more entity F1 than allowed.
        ServerError: If tritonclient is not installed.
    """
    graphs = {Precision.FP16: to_fp16(plain)}
    if config.int8:
        batches = calibration_batches(checkpoint.encoder, calibration)
        ranges = activation_ranges(plain, quantized_inputs(plain), batches)
        graphs[Precision.INT8] = to_int8(graphs[Precision.FP16], ranges)
    records = [_gated(config, checkpoint, reference, *item) for item in graphs.items()]
    profiles = profiles_for(checkpoint.encoder.max_tokens)
    names = {precision: GRAPH_FILES[precision] for precision in graphs}
    files = {GRAPH_FILES[p]: graph.SerializeToString() for p, graph in graphs.items()}
    files[PROFILES] = to_json(profiles).encode()
    check_ready(files, list(names.values()))
    files[BUILD] = build_script(names, profiles).encode()
    files[GATE] = (json.dumps([asdict(record) for record in records], indent=2) + "\n").encode()
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


def _gated(
    config: ExportConfig,
    checkpoint: Checkpoint,
    reference: Reference,
    precision: Precision,
    graph: onnx.ModelProto,
) -> GateRecord:
    allowed = Allowance.of(config, precision)
    backend = OrtBackend(graph.SerializeToString(), ids="int32")
    tagger = Tagger(checkpoint.encoder, checkpoint.tags, backend, decoding=checkpoint.decoding)
    report = reference.compare(tagger, backend)
    _check(report, precision, allowed)
    if precision is Precision.FP16:  # INT8 computes the rest in FP16 too, with a wider allowance
        _check(reference.compare_torch_fp16(), precision, allowed)
    return GateRecord(
        file=GRAPH_FILES[precision],
        precision=precision,
        measured_on=MEASURED_ON[precision],
        max_abs_diff=report.max_abs_diff,
        tag_agreement=report.tag_agreement,
        f1_before=report.f1.overall.before,
        f1_after=report.f1.overall.after,
        allowed_f1_loss_points=allowed.points,
        allowed_label_f1_loss_points=allowed.label_points,
    )


def _check(report: ParityReport, precision: Precision, allowed: Allowance) -> None:
    try:
        check_gate(report, precision, allowed)
    except ParityError as error:
        raise ParityError(f"TensorRT {error}; or leave --tensorrt out") from error

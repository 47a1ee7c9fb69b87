"""Owns the rules for the file as a whole: opset, validity, external data, inputs, profiles."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from export.tensorrt.lint.finding import Finding, error, warning
from export.tensorrt.lint.subject import Subject, type_name
from export.tensorrt.matrix import MAX_OPSET, MIN_OPSET, STANDARD_DOMAINS
from serve.errors import GraphError
from serve.triton.profiles import PROFILES, Profile, from_json

_KIND = onnx.TensorProto
_INPUT_TYPES = frozenset(
    {_KIND.FLOAT, _KIND.FLOAT16, _KIND.BFLOAT16, _KIND.INT32, _KIND.INT64, _KIND.INT8}
    | {_KIND.UINT8, _KIND.BOOL}
)


def check_file(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with opset, structure and where the weights lie."""
    opset = max(
        (o.version for o in subject.model.opset_import if o.domain in STANDARD_DOMAINS), default=0
    )
    if not MIN_OPSET <= opset <= MAX_OPSET:
        yield error(
            "opset",
            str(subject.path),
            f"an opset from {MIN_OPSET} to {MAX_OPSET}",
            str(opset) if opset else "none",
            "export with --tensorrt, or convert it with onnx.version_converter",
        )
    for name in subject.external:
        yield error(
            "external-data",
            name,
            "its values in the file",
            "a reference to another file",
            "save the graph as one file: onnx.save(model, path, save_as_external_data=False)",
        )
    if not subject.external:
        yield from _check_valid(subject)


def _check_valid(subject: Subject) -> Iterator[Finding]:
    try:
        onnx.checker.check_model(subject.model)
    except (onnx.checker.ValidationError, ValueError) as problem:
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        yield error("invalid", str(subject.path), "a valid ONNX graph", reason, "export it again")


def check_inputs(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the types and shapes of the inputs."""
    initial = {tensor.name for tensor in subject.model.graph.initializer}
    inputs = [value for value in subject.model.graph.input if value.name not in initial]
    for value in inputs:
        yield from _check_type(value)
        yield from _check_names(value)
    dynamic = [value for value in inputs if any(d.dim_param for d in _axes(value))]
    if dynamic:
        yield from _check_profiles(subject, dynamic)


def _check_type(value: onnx.ValueInfoProto) -> Iterator[Finding]:
    kind = value.type.tensor_type.elem_type
    if kind not in _INPUT_TYPES:
        yield error(
            "input-type",
            f"input {value.name}",
            "a type TensorRT takes, such as INT32",
            type_name(kind),
            "cast it outside the graph",
        )
    elif kind == _KIND.INT64:
        yield warning(
            "int64-input",
            f"input {value.name}",
            "INT32",
            "INT64, which TensorRT 8 narrows, at twice the bytes",
            "export with --tensorrt, whose ids are INT32",
        )


def _check_names(value: onnx.ValueInfoProto) -> Iterator[Finding]:
    unnamed = [i for i, axis in enumerate(_axes(value)) if axis.WhichOneof("value") is None]
    if unnamed or not value.type.tensor_type.HasField("shape"):
        yield error(
            "unnamed-axis",
            f"input {value.name}",
            "each dynamic axis to have a name",
            f"axes {unnamed} without" if unnamed else "no shape at all",
            "name them with dynamic_axes when exporting",
        )


def _check_profiles(subject: Subject, dynamic: list[onnx.ValueInfoProto]) -> Iterator[Finding]:
    path = subject.path.parent / PROFILES
    names = ", ".join(value.name for value in dynamic)
    remedy = "export with --tensorrt, which writes them"
    expected = f"optimization profiles for {names}"
    try:
        profiles = from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield error("no-profiles", str(path), expected, "no file", remedy)
        return
    except (GraphError, UnicodeDecodeError) as problem:
        yield error("no-profiles", str(path), expected, f"a damaged file ({problem})", remedy)
        return
    for number, profile in enumerate(profiles):
        for value in dynamic:
            if not _covers(profile, value):
                shown = profile.get(value.name, "no shapes")
                where = f"{path} profile {number}"
                yield error("profile", where, f"shapes for {_shown(value)}", f"{shown}", remedy)


def _covers(profile: Profile, value: onnx.ValueInfoProto) -> bool:
    shapes, axes = profile.get(value.name), _axes(value)
    return (
        shapes is not None
        and len(shapes.min) == len(axes)
        and all(
            axis.dim_param or low == high == axis.dim_value
            for axis, low, high in zip(axes, shapes.min, shapes.max, strict=True)
        )
    )


def _shown(value: onnx.ValueInfoProto) -> str:
    return f"{value.name} {[axis.dim_param or axis.dim_value for axis in _axes(value)]}"


def _axes(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)

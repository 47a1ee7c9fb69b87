"""The lint: quiet on good graphs, and one finding for each way a graph can be made unfit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.__main__ import main
from export.tensorrt.lint.command import as_text, is_ready, lint
from export.tensorrt.lint.finding import Severity, error
from export.tensorrt.matrix import SUPPORTED
from serve.triton.profiles import PROFILES

Sabotage = Callable[[onnx.ModelProto], None]


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_nothing_is_found_in_the_graphs_written_here(
    request: pytest.FixtureRequest, folder: Path, name: str
) -> None:
    onnx.save(request.getfixturevalue(name), folder / "model.onnx")
    assert lint(folder / "model.onnx") == []


def node_of(model: onnx.ModelProto, kind: str, after: str = "") -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.op_type == kind and after in n.name)


def replace(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def first_weight(model: onnx.ModelProto) -> tuple[str, np.ndarray]:
    tensor = next(t for t in model.graph.initializer if t.name.endswith("embeddings.weight"))
    return tensor.name, numpy_helper.to_array(tensor).astype(np.float32)


def contrib(model: onnx.ModelProto) -> None:
    node_of(model, "Erf").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def unsupported(model: onnx.ModelProto) -> None:
    node_of(model, "Erf").op_type = "Det"


def double_ids(model: onnx.ModelProto) -> None:
    # a product of integers: MatMul has no INT32 in the matrix
    model.graph.node.append(
        helper.make_node("MatMul", ["input_ids", "input_ids"], ["squared"], name="ids/MatMul")
    )


def mixed(model: onnx.ModelProto) -> None:
    bias = node_of(model, "Add", "query").input[1]
    (tensor,) = [t for t in model.graph.initializer if t.name == bias]
    replace(model, bias, numpy_helper.to_array(tensor).astype(np.float32))


def computed_axes(model: onnx.ModelProto) -> None:
    node = node_of(model, "Unsqueeze", "mask")
    cast = helper.make_node("Identity", [node.input[1]], ["axes_computed"], name="axes")
    node.input[1] = "axes_computed"
    model.graph.node.insert(0, cast)


def second_output(model: onnx.ModelProto) -> None:
    node_of(model, "LayerNormalization").output.append("mean")


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 26


def cycle(model: onnx.ModelProto) -> None:
    node_of(model, "Softmax").input[0] = "nobody_makes_this"


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="weights.bin")
    tensor.ClearField("raw_data")


def int64(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def text_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def nameless(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_param")


def third_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_param = "X"


def overflow(model: onnx.ModelProto) -> None:
    name, values = first_weight(model)
    values[0, 0] = -3.4e38
    replace(model, name, values)


def nan(model: onnx.ModelProto) -> None:
    name, values = first_weight(model)
    values[0, 0] = np.nan
    replace(model, name, values.astype(np.float16))


def underflow(model: onnx.ModelProto) -> None:
    name, values = first_weight(model)
    replace(model, name, values * np.float32(1e-7))


def fp32(model: onnx.ModelProto) -> None:
    replace(model, *first_weight(model))


def unsigned(model: onnx.ModelProto) -> None:
    name = node_of(model, "QuantizeLinear").input[2]
    replace(model, name, np.array(0, dtype=np.uint8))


def shifted(model: onnx.ModelProto) -> None:
    name = node_of(model, "QuantizeLinear").input[2]
    replace(model, name, np.array(3, dtype=np.int8))


def zero_scale(model: onnx.ModelProto) -> None:
    replace(model, node_of(model, "QuantizeLinear").input[1], np.array(0, dtype=np.float16))


def computed_scale(model: onnx.ModelProto) -> None:
    node = node_of(model, "QuantizeLinear")
    model.graph.node.insert(0, helper.make_node("Identity", [node.input[1]], ["s"], name="scale"))
    node.input[1] = "s"


def per_channel(model: onnx.ModelProto) -> None:
    node = node_of(model, "QuantizeLinear")
    replace(model, node.input[1], np.full(32, 0.1, dtype=np.float16))
    replace(model, node.input[2], np.zeros(32, dtype=np.int8))


def unpaired(model: onnx.ModelProto) -> None:
    quantize = node_of(model, "QuantizeLinear")
    node = helper.make_node("Identity", [quantize.output[0]], ["copied"], name="between")
    dequantize = next(n for n in model.graph.node if n.input and n.input[0] == quantize.output[0])
    dequantize.input[0] = "copied"
    model.graph.node.insert(list(model.graph.node).index(dequantize), node)


def cast_between(model: onnx.ModelProto) -> None:
    product = node_of(model, "MatMul", "intermediate")
    cast = helper.make_node("Cast", [product.input[0]], ["wide"], name="between", to=10)
    model.graph.node.insert(list(model.graph.node).index(product), cast)
    product.input[0] = "wide"


def half(model: onnx.ModelProto) -> None:
    product = node_of(model, "MatMul", "intermediate")
    dequantize = next(n for n in model.graph.node if product.input[0] in n.output)
    quantize = next(n for n in model.graph.node if dequantize.input[0] in n.output)
    product.input[0] = quantize.input[0]


def wrong_axis(model: onnx.ModelProto) -> None:
    product = node_of(model, "MatMul", "query")
    dequantize = next(n for n in model.graph.node if product.input[1] in n.output)
    dequantize.attribute[0].i = 0


@pytest.mark.parametrize(
    ("graph", "sabotage", "rule", "words"),
    [
        ("fp16", contrib, "contrib-operator", "got one of domain com.microsoft"),
        ("fp16", unsupported, "unsupported-operator", "support matrix (TensorRT 10.15"),
        ("fp16", double_ids, "unsupported-type", "got INT32 in input_ids"),
        ("fp16", mixed, "mixed-types", "got FLOAT and FLOAT16"),
        ("fp16", computed_axes, "not-constant", "got axes_computed, which is computed"),
        ("fp16", second_output, "unsupported-output", "got 2 outputs"),
        ("fp16", opset, "opset", "an opset from 9 to 25, got 26"),
        ("fp16", cycle, "invalid", "nobody_makes_this"),
        ("fp16", external, "external-data", "got a reference to another file"),
        ("fp16", int64, "int64-input", "expected INT32, got INT64"),
        ("fp16", text_input, "input-type", "got STRING"),
        ("fp16", nameless, "unnamed-axis", "axes [1] without"),
        ("fp16", third_axis, "profile", "expected shapes for input_ids ['B', 'T', 'X']"),
        ("fp16", overflow, "fp16-overflow", "within 65504, the largest of FP16, got 3.4e+38"),
        ("fp16", nan, "not-finite", "got NaN or infinity"),
        ("fp16", underflow, "fp16-underflow", "below 6.1e-05"),
        ("fp16", fp32, "fp32-weights", "got 1 in FP32"),
        ("int8", unsigned, "quantized-type", "expected INT8, got UINT8"),
        ("int8", shifted, "zero-point", "expected zero point 0"),
        ("int8", zero_scale, "scale", "expected finite scales above 0, got 0"),
        ("int8", computed_scale, "scale", "expected a constant scale, got a computed one"),
        ("int8", per_channel, "per-channel-activation", "one scale for an activation, got 32"),
        ("int8", unpaired, "unpaired", "got Identity between"),
        ("int8", cast_between, "placement", "got Cast between"),
        ("int8", half, "half-quantized", "before both factors or neither"),
        ("int8", wrong_axis, "channel-axis", "scales along axis 1"),
    ],
)
def test_a_sabotaged_graph_is_found_out(
    request: pytest.FixtureRequest,
    folder: Path,
    graph: str,
    sabotage: Sabotage,
    rule: str,
    words: str,
) -> None:
    model = deepcopy(request.getfixturevalue(graph))
    sabotage(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    found = [finding for finding in lint(folder / "model.onnx") if finding.rule == rule]
    assert found
    assert any(words in str(finding) for finding in found)
    warns = rule in ("int64-input", "fp16-underflow", "fp32-weights")
    assert is_ready(found) == warns


def test_dynamic_axes_need_profiles(fp16: onnx.ModelProto, folder: Path) -> None:
    onnx.save(fp16, folder / "model.onnx")
    (folder / PROFILES).write_text("{}")
    (finding,) = lint(folder / "model.onnx")
    assert finding.rule == "no-profiles"
    (folder / PROFILES).unlink()
    (finding,) = lint(folder / "model.onnx")
    assert "optimization profiles for input_ids, attention_mask, got no file" in str(finding)


def test_operators_inside_a_branch_are_seen(folder: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["y"], name="hidden")],
        "branch",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)],
        "graph",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4]),
        ],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / "model.onnx")
    assert "unsupported-operator" in {finding.rule for finding in lint(folder / "model.onnx")}


def test_the_command_says_ready_and_not_ready(
    fp16: onnx.ModelProto,
    exported: onnx.ModelProto,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx.save(fp16, folder / "good.onnx")
    onnx.save(exported, folder / "bad.onnx")
    assert main(["lint", str(folder / "good.onnx")]) == 0
    assert "good.onnx: ready for TensorRT (0 errors, 0 warnings" in capsys.readouterr().out
    assert main(["lint", str(folder / "bad.onnx")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("error ")
    assert "got 3.4e+38" in lines[0]
    assert "not ready for TensorRT (1 errors" in lines[-1]
    assert main(["lint", str(folder / "bad.onnx"), "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["ready"] is False
    assert verdict["findings"][0]["rule"] == "fp16-overflow"


def test_what_breaks_one_rule_alike_in_many_places_is_one_line() -> None:
    first = error("unpaired", "QuantizeLinear a", "a DequantizeLinear", "Add x", "quantize again")
    findings = [first, dataclasses.replace(first, where="QuantizeLinear b", found="Add y")]
    findings += [
        dataclasses.replace(first, rule="zero-point"),
        dataclasses.replace(first, severity=Severity.WARNING),
    ]
    lines = as_text(Path("model.onnx"), findings).splitlines()
    assert lines[0] == f"{first} and 1 more; --json names all"
    assert lines[1:3] == [str(findings[2]), str(findings[3])]
    assert lines[3].startswith("model.onnx: not ready for TensorRT (3 errors, 1 warnings")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"text", "expected an ONNX graph"), (b"", "got no nodes")],
)
def test_what_is_no_graph_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "x.onnx").write_bytes(content)
    assert main(["lint", str(tmp_path / "x.onnx")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_wrong_usage_exits_with_2() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["lint"])
    assert stopped.value.code == 2


def test_every_operator_of_the_matrix_is_one_of_onnx() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    # the table also lists three that only old exporters wrote
    assert set(SUPPORTED) - known <= {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}
    assert TensorProto.INT32 not in SUPPORTED["MatMul"]
    assert "DynamicQuantizeLinear" not in SUPPORTED

"""The whole of `python -m export`: what it writes, what it refuses, and that nothing is left."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DistilBertConfig,
    ElectraConfig,
    PretrainedConfig,
)

import export.checkpoint
import export.pipeline
import export.precision.choose_fp16
import export.precision.choose_int8
from export.__main__ import main, parse_args
from export.checkpoint import TorchBackend, load_checkpoint
from export.config import ExportConfig
from export.fusion.norm import FuseSkipLayerNorm
from export.precision.calibration import Range
from export.precision.int8 import column_steps, quantized_nodes, to_int8
from export.provenance import command_line, provenance
from export.reports.latency import Latencies, measure_latency
from export.snapshot import Snapshot
from export.verification.verify import verify
from serve.bundle import Bundle, Precision, sha256
from serve.decode.decoding import Decoding
from serve.errors import CheckpointError
from serve.examples import read_jsonl
from serve.scoring import score_tagger
from serve.tagger import Tagger
from tests.conftest import tiny_vocabulary
from tests.families import write_base


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("export") / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(folder), "--fp16", "--int8"]
    assert main(arguments) == 0
    return Bundle.load(folder)


def test_the_bundle_holds_each_precision_asked_for_and_nothing_else(bundle: Bundle) -> None:
    precisions = [graph.precision for graph in bundle.manifest.graphs]
    assert precisions == [Precision.FP32, Precision.FP16, Precision.INT8]
    assert sorted(path.name for path in bundle.folder.iterdir()) == [
        "config.json",
        "labels.json",
        "manifest.json",
        "model.onnx",
        "model_fp16.onnx",
        "model_int8.onnx",
        "report.html",
        "report.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_the_bundle_is_sound(bundle: Bundle) -> None:
    assert verify(bundle.folder).findings == ()


def test_the_manifest_says_what_to_repeat_the_export_with(
    bundle: Bundle, tiny_checkpoint: Path
) -> None:
    source = bundle.manifest.source
    for key, name in {
        "checkpoint_sha256": "model.safetensors",
        "config_sha256": "config.json",
        "tokenizer_sha256": "tokenizer.json",
        "dev_sha256": "dev.jsonl",
        "calibration_sha256": "dev.jsonl",  # the tiny checkpoint brings no calibration lines
    }.items():
        assert source[key] == sha256((tiny_checkpoint / name).read_bytes())
    *_, first, second = shlex.split(str(source["command"]))
    assert (first, second) == ("--fp16", "--int8")
    config = parse_args(shlex.split(str(source["command"]))[3:])
    assert (config.model, config.output.name) == (tiny_checkpoint, "bundle")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "a b", "--output", "it's", "--data", "$HOME/dev.jsonl"],
        ["--int8", "--fp16", "--tensorrt", "--allow-f1-loss", "0.25", "--json"],
        ["--fp16", "--packed", "--device", "cuda", "--atol", "0.005"],
    ],
)
def test_a_command_line_asks_for_the_settings_it_was_made_from(arguments: list[str]) -> None:
    config = parse_args(arguments)
    words = shlex.split(command_line(config))
    assert words[:3] == ["python", "-m", "export"]
    assert parse_args(words[3:]) == config


def test_calibration_and_dev_lines_of_ones_own_are_hashed(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder, dev = tmp_path / "checkpoint", tmp_path / "own.jsonl"
    shutil.copytree(tiny_checkpoint, folder)
    shutil.copy(tiny_checkpoint / "dev.jsonl", folder / "calibration.jsonl")
    dev.write_text("\n".join((tiny_checkpoint / "dev.jsonl").read_text().splitlines()[:9]))
    source = provenance(ExportConfig(model=folder, data=dev), Snapshot.take(folder))
    assert source["dev_sha256"] == sha256(dev.read_bytes())
    assert source["calibration_sha256"] == sha256((folder / "calibration.jsonl").read_bytes())


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_the_manifest_vouches_for_what_is_copied(
    bundle: Bundle, tiny_checkpoint: Path, name: str
) -> None:
    content = (bundle.folder / name).read_bytes()
    assert content == (tiny_checkpoint / name).read_bytes()
    assert bundle.manifest.files[name] == sha256(content)


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "model.safetensors", "decoding.json", "dev.jsonl"]
)
def test_a_checkpoint_that_changes_while_it_is_exported_is_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """As if training ended just then and put another checkpoint in its place."""
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)

    def measured_late(*arguments: Any) -> Latencies:
        with (folder / name).open("ab") as file:
            file.write(b" ")
        return measure_latency(*arguments)

    monkeypatch.setattr(export.pipeline, "measure_latency", measured_late)
    assert main(["--model", str(folder), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / name}: expected SHA-256 ")
    assert error.endswith("it was changed while it was exported; export again\n")
    assert not output.exists()


def test_weights_in_parts_are_a_checkpoint_too(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As transformers saves them beyond a size."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    whole = load_checkpoint(tiny_checkpoint)
    (folder / "model.safetensors").unlink()
    whole.model.save_pretrained(folder, max_shard_size="20KB")
    last = sorted(folder.glob("model-*.safetensors"))[-1]
    assert last.name != "model-00001-of-00001.safetensors"
    parts = load_checkpoint(folder)
    weights = whole.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in parts.model.state_dict().items())
    parts.snapshot.check_unchanged()
    save_file(load_file(last), last, metadata={"format": "pt", "of": "another training"})
    with pytest.raises(CheckpointError, match="it was changed while it was exported"):
        parts.snapshot.check_unchanged()


def with_decoding(checkpoint: Path, folder: Path, decoding: Decoding) -> list[str]:
    """Return the arguments to export a checkpoint that is read in another way."""
    shutil.copytree(checkpoint, folder / "checkpoint")
    (folder / "checkpoint" / "decoding.json").write_text(decoding.to_json())
    return ["--model", str(folder / "checkpoint"), "--output", str(folder / "bundle")]


def test_a_decoding_travels_with_the_checkpoint_and_every_comparison_uses_it(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    rows = np.full((7, 7), -2.0).tolist()  # tags hardly follow each other
    decoding = Decoding(
        temperature=2.0, constrained=True,
        transitions=tuple(map(tuple, rows)), start=(0.0,) * 7, end=(3.0, *[0.0] * 6),
    )  # fmt: skip
    arguments = with_decoding(tiny_checkpoint, tmp_path, decoding)
    assert main(arguments) == 0
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.decoding == decoding
    written = (tmp_path / "bundle" / "decoding.json").read_bytes()
    assert bundle.manifest.source["decoding_sha256"] == sha256(written)
    examples = read_jsonl(tmp_path / "checkpoint" / "dev.jsonl")
    f1 = score_tagger(Tagger.load(bundle.folder), examples).micro.f1
    (graph,) = bundle.manifest.graphs
    assert graph.f1_before == graph.f1_after == pytest.approx(f1)
    assert verify(bundle.folder).is_sound
    assert main(arguments) == 0, "a bundle with a decoding is replaced like any other"


def test_a_decoding_that_hides_every_entity_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transitions = tuple((100.0, *[-100.0] * 6) for _ in range(7))
    hiding = Decoding(transitions=transitions, start=transitions[0], end=(0.0,) * 7)
    assert main(with_decoding(tiny_checkpoint, tmp_path, hiding)) == 1
    assert "expected dev lines with entities that the checkpoint finds" in capsys.readouterr().err


def test_each_layer_is_fused_and_the_manifest_says_so(bundle: Bundle) -> None:
    on_cpu = {"EmbedLayerNormalization": 1, "Gelu": 2}
    assert {graph.precision: graph.operators for graph in bundle.manifest.graphs} == {
        Precision.FP32: {"Attention": 2, **on_cpu},
        Precision.FP16: {
            "Attention": 2,
            "BiasGelu": 2,
            "EmbedLayerNormalization": 1,
            "SkipLayerNormalization": 4,
        },
        Precision.INT8: {"QAttention": 2, "MatMulIntegerToFloat": 6, **on_cpu},
    }


def test_graphs_are_single_files_of_the_stated_opset(bundle: Bundle) -> None:
    for graph in bundle.manifest.graphs:
        model = onnx.load_from_string(bundle.read_graph(graph))
        assert {o.domain: o.version for o in model.opset_import}[""] == graph.opset == 17
        assert model.ir_version == 8
        assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_reduced_graphs_are_what_their_names_say(bundle: Bundle) -> None:
    def graph_of(precision: Precision) -> onnx.GraphProto:
        return onnx.load_from_string(bundle.read_graph(bundle.graph(precision))).graph

    floats = [t for t in graph_of(Precision.FP16).initializer if t.data_type == t.FLOAT]
    assert floats == []
    operators = [node.op_type for node in graph_of(Precision.INT8).node]
    assert operators.count("MatMul") == 1  # the tag head
    assert operators.count("QuantizeLinear") == 8  # ranges of the calibration: texts may batch
    assert not bundle.graph(Precision.INT8).alone


def test_the_int8_graph_divides_what_its_feed_forward_products_read(bundle: Bundle) -> None:
    graph = onnx.load(bundle.folder / bundle.graph(Precision.INT8).file).graph
    divided = {node.output[0] for node in graph.node if node.op_type == "Mul"}
    readers = [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] in divided]
    assert len(readers) == 2  # one a layer


def weights_in(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_the_int8_graphs_weights_are_fitted_and_not_only_rounded(bundle: Bundle) -> None:
    fp32 = onnx.load(bundle.folder / bundle.graph(Precision.FP32).file).graph
    int8 = onnx.load(bundle.folder / bundle.graph(Precision.INT8).file).graph
    trained, integers = weights_in(fp32), weights_in(int8)
    (before, *_) = [node for node in fp32.node if node.op_type == "Attention"]
    (after, *_) = [node for node in int8.node if node.op_type == "QAttention"]
    exact = trained[before.input[1]][:, :64]  # queries and keys: nothing divides them
    steps = integers[after.input[4]][:64]
    np.testing.assert_allclose(steps, column_steps(exact), rtol=0.01)
    off = integers[after.input[1]][:, :64] - np.rint(exact / steps)
    assert 0 < np.abs(off).max() < 64


def test_the_int8_graph_divides_an_outlier_among_channels(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    weights["bert.encoder.layer.0.intermediate.dense.bias"][3] += 9.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    arguments = ["--model", str(folder), "--output", str(output), "--int8"]
    assert main([*arguments, "--allow-f1-loss", "100", "--allow-label-f1-loss", "100"]) == 0
    shapes = {
        value.shape for value in weights_in(onnx.load(output / "model_int8.onnx").graph).values()
    }
    assert {(32, 65), (65, 32)} <= shapes


@pytest.mark.parametrize("precision", [p for p in Precision if not p.needs_cuda])
def test_every_graph_tags_the_dev_lines_as_pytorch_does(
    bundle: Bundle, tiny_checkpoint: Path, precision: Precision
) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    texts = [example.text for example in read_jsonl(tiny_checkpoint / "dev.jsonl")]
    reference = Tagger(checkpoint.encoder, checkpoint.tags, TorchBackend(checkpoint.model))
    expected, got = reference.tag(texts), Tagger.load(bundle.folder, precision=precision).tag(texts)
    atol = {Precision.FP32: 1e-5, Precision.FP16: 5e-3, Precision.INT8: 5e-2}[precision]
    for line, other in zip(got, expected, strict=True):
        assert [(e.label, e.start, e.end) for e in line] == [
            (e.label, e.start, e.end) for e in other
        ]
        assert [e.score for e in line] == pytest.approx([e.score for e in other], abs=atol)


@pytest.mark.parametrize("precision", [p for p in Precision if not p.needs_cuda])
def test_an_answer_does_not_depend_on_its_neighbours(bundle: Bundle, precision: Precision) -> None:
    tagger = Tagger.load(bundle.folder, precision=precision)
    texts = ["replace oil pump", "engine leaking", "pump " * 40, "", "x"]
    assert tagger.tag(texts) == [tagger.tag([text])[0] for text in texts]


def report_of(folder: Path, name: str) -> dict[str, Any]:
    """Return what the report says of a graph."""
    report = json.loads((folder / "report.json").read_text())
    return next(graph for graph in report["graphs"] if graph["file"] == name)


def test_a_product_that_costs_f1_is_found_and_left_in_fp32(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    culprit = []

    def quantize(
        model: onnx.ModelProto, ranges: dict[str, Range] | None, fp32_nodes: Sequence[str] = ()
    ) -> onnx.ModelProto:
        culprit[:] = quantized_nodes(model)[3:4]
        quantized = to_int8(model, ranges, fp32_nodes)
        for tensor in quantized.graph.initializer:
            (node,) = [node for node in model.graph.node if node.name == culprit[0]]
            if culprit[0] not in fp32_nodes and tensor.name == f"{node.input[1]}_scale":
                scales = -9 * numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(scales, tensor.name))
        return quantized

    monkeypatch.setattr(export.precision.choose_int8, "to_int8", quantize)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]) == 0
    graph = Bundle.load(output).graph(Precision.INT8)
    assert list(graph.fp32_nodes) == culprit
    assert (graph.operators["MatMulIntegerToFloat"], graph.alone) == (5, False)
    found = report_of(output, "model_int8.onnx")
    assert [bool(trial["refusal"]) for trial in found["trials"]] == [True, True, True, False]
    assert list(found["fp32_node_reasons"]) == culprit


@pytest.mark.parametrize("sound", ["min-max", "percentile", "entropy"])
def test_the_calibration_nearest_to_fp32_is_tried_first(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: str
) -> None:
    """It is not enough to pass: a graph far off may do so by luck."""
    calibrations = export.precision.choose_int8.calibrations

    def one_sound(*args: Any) -> Iterator[tuple[str, dict[str, Range]]]:
        wide = dict(calibrations(*args))["min-max"]
        narrow = {name: Range(r.low / 9, r.high / 9) for name, r in wide.items()}
        for way in ("min-max", "percentile", "entropy"):
            yield way, (wide if way == sound else narrow)

    monkeypatch.setattr(export.precision.choose_int8, "calibrations", one_sound)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]) == 0
    trials = report_of(output, "model_int8.onnx")["trials"]
    assert [trial["method"] for trial in trials] == [f"calibrated, {sound}"]


def test_every_graph_that_was_tried_is_in_the_report(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quantize(
        model: onnx.ModelProto, ranges: dict[str, Range] | None, fp32_nodes: Sequence[str] = ()
    ) -> onnx.ModelProto:
        quantized = to_int8(model, ranges, fp32_nodes)
        return quantized if len(fp32_nodes) in (2, 7) else damaged(quantized)

    monkeypatch.setattr(export.precision.choose_int8, "to_int8", quantize)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]) == 0
    trials = report_of(output, "model_int8.onnx")["trials"]
    # three calibrations, one and two products left out, and one of the two put back in vain
    assert [len(trial["fp32_nodes"]) for trial in trials] == [0, 0, 0, 1, 2, 1]
    assert [not trial["refusal"] for trial in trials] == [False] * 4 + [True, False]
    assert len(Bundle.load(output).graph(Precision.INT8).fp32_nodes) == 2


def test_the_report_is_hashed_and_needs_nothing_from_elsewhere(bundle: Bundle) -> None:
    for name in ("report.html", "report.json"):
        assert bundle.manifest.files[name] == sha256((bundle.folder / name).read_bytes())
    page = (bundle.folder / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r"<script|<link|<img|src=|url\((?!#)|@import", page)
    for graph in bundle.manifest.graphs:
        assert page.count(graph.file) > 3
    report = json.loads((bundle.folder / "report.json").read_text())
    assert (
        "model_fp16.onnx was not measured: it is meant for CUDAExecutionProvider"
        in (report["findings"])
    )
    cells = [cell for cell in report["latency"]["cells"] if cell["rounds"]]
    assert cells[0]["median_ms"].keys() == {"PyTorch", "model.onnx", "model_int8.onnx"}
    assert len(report["graphs"]) == len(bundle.manifest.graphs) > 0
    for graph in report["graphs"]:
        assert graph["f1_by_label"].keys() == {"Activity", "Item", "Observation"}
        assert graph["max_abs_diff_by_length"].keys() >= {"8", "64"}


def damaged(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the tag O win everywhere."""
    (bias,) = [t for t in model.graph.initializer if t.name.endswith("classifier.bias")]
    values = numpy_helper.to_array(bias).copy()
    values[0] += 100
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return model


@pytest.fixture
def _sabotage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the quantizer damage what it writes, in either way."""
    monkeypatch.setattr(
        export.precision.choose_int8, "to_int8", lambda *model: damaged(to_int8(*model))
    )


def test_where_fixed_ranges_cost_f1_dynamic_scales_take_their_place(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def quantize(
        model: onnx.ModelProto, ranges: dict[str, Range] | None, fp32_nodes: Sequence[str] = ()
    ) -> onnx.ModelProto:
        quantized = to_int8(model, ranges, fp32_nodes)
        return damaged(quantized) if ranges else quantized

    monkeypatch.setattr(export.precision.choose_int8, "to_int8", quantize)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]) == 0
    graph = Bundle.load(output).graph(Precision.INT8)
    assert graph.alone
    assert graph.operators["DynamicQuantizeMatMul"] == 6
    assert "percentile: int8 graph: expected to lose at most 0.5 points" in caplog.text
    methods = [trial["method"] for trial in report_of(output, "model_int8.onnx")["trials"]]
    ways = {"calibrated, min-max", "calibrated, percentile", "calibrated, entropy"}
    assert set(methods[:3]) == ways
    assert methods[3].endswith(", 1 products in FP32")
    assert methods[-1] == "dynamic scales"
    tagger = Tagger.load(output, precision=Precision.INT8)
    texts = ["replace oil pump", "engine leaking", "pump " * 40, "", "x"]
    assert tagger.tag(texts) == [tagger.tag([text])[0] for text in texts]


@pytest.mark.usefixtures("_sabotage")
def test_a_sabotaged_graph_is_refused_and_the_old_bundle_stays(
    bundle: Bundle, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle.folder / "manifest.json").read_bytes()
    arguments = ["--model", str(tiny_checkpoint), "--output", str(bundle.folder), "--int8"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: int8 graph: expected to lose at most 0.5 points of entity F1")
    assert "post-training quantization does not pass here" in error
    assert error.count("\n") == 1
    assert (bundle.folder / "manifest.json").read_bytes() == before
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["bundle"]


@pytest.mark.usefixtures("_sabotage")
def test_an_explicit_allowance_lets_it_pass_and_is_recorded(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]
    assert main(arguments) == 1
    assert not output.exists()
    assert main([*arguments, "--allow-f1-loss", "100", "--allow-label-f1-loss", "101"]) == 0
    graph = Bundle.load(output).graph(Precision.INT8)
    assert (graph.allowed_f1_loss_points, graph.allowed_label_f1_loss_points) == (100, 101)
    assert graph.f1_after == 0 < graph.f1_before
    assert graph.label_f1_loss_points, "of labels with enough entities"
    of_labels = report_of(output, "model_int8.onnx")["f1_by_label"]
    assert graph.label_f1_loss_points == {
        label: pytest.approx(100 * of_labels[label]["before"])
        for label in graph.label_f1_loss_points
    }


def test_export_refuses_when_fusion_silently_does_nothing(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FuseSkipLayerNorm, "holds", lambda self, context, **matched: False)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output)]) == 1
    message = "expected 2 layers to be fused whole, got SkipLayerNormalization 0 of 4"
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "bundle"
    assert main(["--model", str(tmp_path / "none"), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {output}: expected a place that can be written, got ")
    assert error.endswith("name another folder with --output\n")


def test_a_folder_that_is_no_bundle_is_not_replaced(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    (tmp_path / "manifest.json").write_text('{"name": "of something else"}')
    assert main(["--model", str(tiny_checkpoint), "--output", str(tmp_path)]) == 1
    assert f"{tmp_path}: expected a bundle to replace or nothing" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: expected a JSON object"),
        ("config.json", "[]", "config.json: expected a JSON object, got a list"),
        ("config.json", "[" * 200_000, "config.json: expected a JSON object"),
        ("tokenizer.json", "", "tokenizer.json: expected the model's tokenizer"),
        ("tokenizer.json", '{"model": 1}', "tokenizer.json: expected the model's tokenizer"),
        ("config.json", '{"model_type": "bert", "auto_map": {}}', "expected no 'auto_map'"),
        ("config.json", '{"model_type": "gpt2"}', "distilbert, electra, roberta, xlm-roberta, got"),
        ("tokenizer_config.json", '{"auto_map": {}}', "tokenizer_config.json: expected no 'auto"),
        ("tokenizer_config.json", "{", "tokenizer_config.json: expected a JSON object"),
        ("config.json", '{"model_type": "bert"}', "expected id2label, got None"),
        (
            "config.json",
            '{"model_type": "bert", "id2label": {"0": "O", "1": "I-X"}}',
            "expected B-X beside I-X",
        ),
        ("decoding.json", "{}", "decoding.json: expected the keys temperature, constrained, trans"),
        ("decoding.json", "[" * 200_000, "decoding.json: "),
        ("model.safetensors", "not safetensors" * 999, "expected a model that loads"),
        ("model.safetensors", None, "model.safetensors: expected a file of the checkpoint"),
        ("dev.jsonl", None, "dev.jsonl: expected labelled lines for the gate"),
        ("dev.jsonl", "\n", "dev.jsonl: expected lines labelled with"),
        (
            "dev.jsonl",
            '{"text": "a", "spans": [{"start": 0, "end": 1, "label": "Colour"}]}',
            r"got ['Colour']",
        ),
        (
            "dev.jsonl",
            '{"text": "a", "spans": [{"start": 0, "end": 2, "label": "Item"}]}',
            "dev.jsonl:1: expected 0 <= start < end <= 1",
        ),
        ("dev.jsonl", '{"text": "zzz", "spans": []}', "expected dev lines with entities"),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line(
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_text(content)
    assert main(["--model", str(folder), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not output.exists()


def test_weights_that_do_not_fill_the_model_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    renamed = {name.replace("layer.1", "layer.9"): tensor for name, tensor in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected every weight of the model, got 16 missing" in error
    assert error.count("\n") == 1


def with_weights(checkpoint: Path, folder: Path, names: Sequence[str]) -> list[str]:
    """Return the arguments to export a checkpoint with further tensors."""
    shutil.copytree(checkpoint, folder / "checkpoint")
    path = folder / "checkpoint" / "model.safetensors"
    more = {name: torch.ones(7, 7) for name in names}
    save_file(load_file(path) | more, path, metadata={"format": "pt"})
    return ["--model", str(folder / "checkpoint"), "--output", str(folder / "bundle")]


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.0.attention.self.query.lora_A.default.weight",
        "bert.encoder.layer.2.output.dense.weight",
        "crf.transitions",
        "classifier.pooler.dense.weight",
    ],
)
def test_weights_that_the_graph_would_lack_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(with_weights(tiny_checkpoint, tmp_path, [name])) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected no weights but those of a bert token clas" in error
    assert f"got 1 more, first {name}; " in error
    assert error.count("\n") == 1


def test_weights_that_no_tag_depends_on_may_be_left_out(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    names = [
        "bert.pooler.dense.weight",
        "pooler.dense.bias",
        "bert.embeddings.position_ids",
        "cls.predictions.transform.dense.weight",
        "cls.seq_relationship.bias",
        "lm_head.layer_norm.weight",
        "vocab_projector.bias",
        "generator_lm_head.bias",
        "discriminator_predictions.dense.weight",
    ]
    assert main(with_weights(tiny_checkpoint, tmp_path, names)) == 0


def test_weights_that_are_not_finite_are_refused_though_no_dev_line_meets_them(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    weights[name][tiny_vocabulary()["z"]] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected finite weights, got 32 of " in error
    assert f"NaN or infinite in {name}; train again" in error
    assert error.count("\n") == 1


def test_weights_beyond_one_onnx_file_are_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export.checkpoint, "MAX_WEIGHT_BYTES", 50_000)
    assert main(["--model", str(tiny_checkpoint), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected at most 0.00 GB of weights in FP32" in error
    assert error.count("\n") == 1


def test_a_configuration_without_padding_gets_the_familys_own(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base", "roberta", ["replace oil pump"])
    names = dict(enumerate(("O", "B-Item", "I-Item")))
    model = AutoModelForTokenClassification.from_pretrained(folder, id2label=names)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    checkpoint = load_checkpoint(folder)
    assert checkpoint.encoder.pad_id == checkpoint.model.config.pad_token_id == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_lower_case": False}, "expected do_lower_case true, as tokenizer.json has it, got Fa"),
        ({"tokenize_chinese_chars": False, "do_lower_case": True}, "tokenize_chinese_chars true"),
        ({"do_lower_case": True, "strip_accents": None, "add_prefix_space": True}, None),
        ({"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"}, None),
    ],
)
def test_settings_that_contradict_the_tokenizer_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, settings: dict[str, Any], message: str | None
) -> None:
    """transformers goes by the settings: its tokens, and so its answers, would be others."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    settings = {"tokenizer_class": "BertTokenizer"} | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    text = "Replace PUMP"
    if message is not None:
        with pytest.raises(CheckpointError, match=f"tokenizer_config.json: .*{message}"):
            load_checkpoint(folder)
        return
    (window,) = load_checkpoint(folder).encoder.encode([text])[0].windows
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == window.input_ids


def test_a_padding_that_is_no_token_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": -1}))
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert (
        f"config.json: expected pad_token_id from 0 to {config['vocab_size'] - 1}, got -1" in error
    )
    assert error.count("\n") == 1


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["zzzq"])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    assert "tokenizer.json: expected the model's tokenizer, got token id" in capsys.readouterr().err


def overflowing(checkpoint: Path, folder: Path) -> Path:
    """Write a checkpoint whose first layer norm gives values beyond 65504."""
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    layer = "bert.encoder.layer.0"
    weights[f"{layer}.attention.output.LayerNorm.weight"] *= 1e5
    weights[f"{layer}.attention.output.LayerNorm.bias"] *= 1e5
    weights[f"{layer}.intermediate.dense.weight"] *= 1e-5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_nodes_that_overflow_in_fp16_stay_in_fp32(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, output = overflowing(tiny_checkpoint, tmp_path / "checkpoint"), tmp_path / "bundle"
    assert main(["--model", str(folder), "--output", str(output), "--fp16"]) == 0
    found = report_of(output, "model_fp16.onnx")
    reasons = found["fp32_node_reasons"]
    assert list(reasons) == found["fp32_nodes"]
    assert len(reasons) == 3  # the layer norm and the two that read it
    assert all("overflow" in reason for reason in reasons.values())
    graph = onnx.load(output / "model_fp16.onnx").graph
    floats = {tensor.name for tensor in graph.initializer if tensor.data_type == tensor.FLOAT}
    assert any(name.endswith("layer.0.attention.output.LayerNorm.weight") for name in floats)
    assert not any("layer.1" in name for name in floats)


def test_a_model_that_overflows_in_fp16_is_refused_without_a_gpu_too(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export.precision.choose_fp16, "nodes_beyond", lambda *_: {})
    folder, output = overflowing(tiny_checkpoint, tmp_path / "checkpoint"), tmp_path / "bundle"
    arguments = ["--model", str(folder), "--output", str(output), "--fp16"]
    assert main([*arguments, "--allow-f1-loss", "100", "--allow-label-f1-loss", "100"]) == 1
    assert "fp16 graph: expected finite logits" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("family", ["distilbert", "electra"])
def test_other_families_are_fused_whole(tiny_checkpoint: Path, tmp_path: Path, family: str) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    names = load_checkpoint(tiny_checkpoint).tags.names
    model = AutoModelForTokenClassification.from_config(family_config(family, names))
    with torch.no_grad():  # untrained: let the head find something, that the gate can close
        model.classifier.bias.copy_(torch.tensor([0.0] * 5 + [9.0] + [0.0] * (len(names) - 6)))
    model.save_pretrained(folder)
    spans = [{"start": 0, "end": 4, "label": names[5][2:]}]
    (folder / "dev.jsonl").write_text(json.dumps({"text": "pump", "spans": spans}) + "\n")
    assert main(["--model", str(folder), "--output", str(output), "--fp16", "--int8"]) == 0
    for graph in Bundle.load(output).manifest.graphs:
        names = {"Attention", "QAttention"} & graph.operators.keys()
        assert [graph.operators[name] for name in names] == [2]


@pytest.mark.parametrize(("activation", "fused"), [("gelu_new", {"FastGelu": 2}), ("relu", {})])
def test_other_activations_are_exported_too(
    tiny_checkpoint: Path, tmp_path: Path, activation: str, fused: dict[str, int]
) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": activation}))
    assert main(["--model", str(folder), "--output", str(output), "--int8", "--fp16"]) == 0
    others = {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1}
    assert Bundle.load(output).graph(Precision.FP16).operators == others | fused


def family_config(family: str, names: tuple[str, ...]) -> PretrainedConfig:
    """Return the configuration of a tiny model of another family."""
    tags = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    sizes = {"vocab_size": 200, "max_position_embeddings": 64, **tags}
    if family == "distilbert":
        return DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64, **sizes)
    return ElectraConfig(
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        **sizes,
    )


@pytest.mark.parametrize("setting", [{"return_dict": False}, {"chunk_size_feed_forward": 4}])
def test_a_setting_of_how_not_what_pytorch_computes_changes_nothing(
    tiny_checkpoint: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | setting))
    plain, other = (load_checkpoint(path) for path in (tiny_checkpoint, folder))
    batch = plain.encoder.collate(plain.encoder.encode(["replace oil pump"])[0].windows)
    assert batch.input_ids.shape[1] % 4
    logits = [TorchBackend(checkpoint.model).logits(batch) for checkpoint in (plain, other)]
    assert np.array_equal(*logits)


def test_json_is_the_manifest_of_the_graphs(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)
    assert graph["file"] == "model.onnx"
    assert graph["max_abs_diff"] < 1e-5


@pytest.mark.parametrize(
    "arguments",
    [["--fp17"], ["--allow-f1-loss", "1"], ["--int8", "--allow-f1-loss", "-1"], ["--int8=x"]],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_args(arguments)

"""The whole of `python -m export`: what it writes, and that nothing is left where it fails."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

from export.__main__ import main, parse_args
from export.checkpoint import TorchBackend, load_checkpoint
from export.config import ExportConfig
from export.precision.steps import column_steps
from export.provenance import command_line, provenance
from export.reports import latency
from export.snapshot import Snapshot
from export.verification.verify import verify
from serve.bundle import Bundle, Precision, sha256
from serve.decode.decoding import Decoding
from serve.examples import read_jsonl
from serve.scoring import score_tagger
from serve.tagger import Tagger
from train.trained.origin import checkpoint_of


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


def test_a_checkpoint_named_by_a_dot_is_found_again_from_its_bundle(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the model card has it, run in the checkpoint's folder."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(latency, "BUDGET_S", 0.0)
    assert main(["--model", ".", "--output", "../bundle"]) == 0
    assert checkpoint_of(Bundle.load(tmp_path / "bundle")) == folder


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


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "bundle"
    assert main(["--model", str(tmp_path / "none"), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {output}: expected a place that can be written, got ")
    assert error.endswith("file; choose another\n")


def test_a_folder_that_is_no_bundle_is_not_replaced(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    (tmp_path / "manifest.json").write_text('{"name": "of something else"}')
    assert main(["--model", str(tiny_checkpoint), "--output", str(tmp_path)]) == 1
    assert f"{tmp_path}: expected a bundle to replace or nothing" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


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


@pytest.mark.parametrize("flag", ["--allow-f1-loss", "--allow-label-f1-loss"])
@pytest.mark.parametrize("points", ["abc", "nan", "-1"])
def test_points_that_are_none_are_refused_in_words(
    flag: str, points: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_args(["--int8", f"{flag}={points}"])
    expected = f"argument {flag}: expected points of at least 0, got {points}"
    assert expected in capsys.readouterr().err

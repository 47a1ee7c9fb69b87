"""What export does about a graph that costs entity F1: search, mend, refuse, or obey and record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

import export.checkpoint
import export.pipeline
import export.precision.choose_fp16
import export.precision.choose_int8
from export.__main__ import main
from export.fusion.norm import FuseSkipLayerNorm
from export.parity import ParityReport, Reference
from export.precision.calibration import Range
from export.precision.int8 import quantized_nodes, to_int8
from export.precision.rounding import rounded_to_fp16
from serve.bundle import Bundle, Precision
from serve.tagger import Tagger
from tests.exported import changed, report_of


def test_a_product_that_costs_f1_is_found_and_left_in_fp32(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    culprit: list[str] = []

    def quantize(
        model: onnx.ModelProto,
        ranges: dict[str, Range] | None,
        fp32_nodes: Sequence[str] = (),
        **others: Any,
    ) -> onnx.ModelProto:
        culprit[:] = quantized_nodes(model)[3:4]
        quantized = to_int8(model, ranges, fp32_nodes, **others)
        if culprit[0] in fp32_nodes:
            return quantized
        (node,) = [node for node in model.graph.node if node.name == culprit[0]]
        return changed(quantized, f"{node.input[1]}_scale", times=-9)

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
        model: onnx.ModelProto,
        ranges: dict[str, Range] | None,
        fp32_nodes: Sequence[str] = (),
        **others: Any,
    ) -> onnx.ModelProto:
        quantized = to_int8(model, ranges, fp32_nodes, **others)
        return quantized if len(fp32_nodes) in (2, 7) else damaged(quantized)

    monkeypatch.setattr(export.precision.choose_int8, "to_int8", quantize)
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--int8"]) == 0
    trials = report_of(output, "model_int8.onnx")["trials"]
    # three calibrations, one and two products left out, and one of the two put back in vain
    assert [len(trial["fp32_nodes"]) for trial in trials] == [0, 0, 0, 1, 2, 1]
    assert [not trial["refusal"] for trial in trials] == [False] * 4 + [True, False]
    assert len(Bundle.load(output).graph(Precision.INT8).fp32_nodes) == 2


def damaged(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the tag O win everywhere."""
    return changed(model, "classifier.bias", 0, plus=100)


@pytest.fixture
def _sabotage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the quantizer damage what it writes, in either way."""
    monkeypatch.setattr(
        export.precision.choose_int8,
        "to_int8",
        lambda *model, **others: damaged(to_int8(*model, **others)),
    )


def test_where_fixed_ranges_cost_f1_dynamic_scales_take_their_place(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def quantize(
        model: onnx.ModelProto,
        ranges: dict[str, Range] | None,
        fp32_nodes: Sequence[str] = (),
        **others: Any,
    ) -> onnx.ModelProto:
        quantized = to_int8(model, ranges, fp32_nodes, **others)
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


def test_without_a_gpu_it_is_said_whose_loss_keeps_a_fp16_graph_out(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lose_in_torch(monkeypatch, interval_points=(0.5, 7.0))
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--fp16"]) == 1
    told = capsys.readouterr().err
    assert "fp16 graph: expected to lose at most 0.1 points of entity F1, got 3.00 (80.00" in told
    assert "it is PyTorch in FP16 that lost it" in told
    assert "export on a GPU" in told
    assert not output.exists()


def test_a_tag_that_pytorch_alone_turns_in_fp16_keeps_no_graph_out(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On few lines one costs more than a graph may lose, and its interval holds 0."""
    lose_in_torch(monkeypatch, interval_points=(0.0, 7.0))
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--fp16"]) == 0
    fp16 = Bundle.load(output).manifest.graphs[1]
    assert (fp16.precision, fp16.f1_before - fp16.f1_after) == (Precision.FP16, 0)


def lose_in_torch(monkeypatch: pytest.MonkeyPatch, *, interval_points: tuple[float, float]) -> None:
    """Have PyTorch lose 3 points of entity F1 in FP16."""
    real = Reference.compare_torch_fp16

    def losing(reference: Reference) -> ParityReport:
        report = real(reference)
        overall = replace(
            report.f1.overall, before=0.8, after=0.77, interval_points=interval_points
        )
        return replace(report, f1=replace(report.f1, overall=overall))

    monkeypatch.setattr(Reference, "compare_torch_fp16", losing)


def test_without_a_gpu_a_fp16_graph_is_gated_with_every_number_rounded(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The graph itself passes: on a CPU it is computed in FP32."""

    monkeypatch.setattr(
        export.precision.choose_fp16,
        "rounded_to_fp16",
        lambda *graph: damaged(rounded_to_fp16(*graph)),
    )
    output = tmp_path / "bundle"
    assert main(["--model", str(tiny_checkpoint), "--output", str(output), "--fp16"]) == 1
    told = capsys.readouterr().err
    assert "fp16 graph: expected to lose at most 0.1 points of entity F1" in told
    assert "PyTorch in FP16" not in told
    assert not output.exists()

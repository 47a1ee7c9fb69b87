"""`train evaluate` from the command line: what it prints, writes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from serve.decode.decoding import Decoding
from serve.examples import Example, Span, write_jsonl
from tests.conftest import tiny_lines
from tests.pages import outside_links
from tests.serve.tiny import write_bundle
from train.__main__ import main
from train.task.temperature import fit_temperature
from train.trained.model import load_trained


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny checkpoint with its train lines and a temperature."""
    folder = tmp_path_factory.mktemp("evaluate") / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    write_jsonl(folder / "train.jsonl", tiny_lines(seed=1, num_lines=200))
    dev = _noisy(tiny_lines(seed=5, num_lines=120))
    temperature = fit_temperature(load_trained(folder).tagger(), dev)
    (folder / "decoding.json").write_text(Decoding(temperature=temperature).to_json())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return lines some of whose labels are wrong, so that there is something to tell."""
    path = tmp_path_factory.mktemp("evaluate") / "test.jsonl"
    write_jsonl(path, _noisy(tiny_lines(seed=9, num_lines=60)))
    return path


def _noisy(lines: list[Example]) -> list[Example]:
    def other(span: Span) -> Span:
        return Span(span.start, span.end, "Item" if span.label == "Activity" else "Activity")

    return [
        Example(line.text, tuple(map(other, line.spans))) if number % 6 == 0 else line
        for number, line in enumerate(lines)
    ]


def _figures(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


def test_the_json_has_every_figure_of_the_tables(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = _figures(capsys, checkpoint, "--data", data)
    micro = figures["entities"]["micro"]
    assert main(["evaluate", str(checkpoint), "--data", str(data)]) == 0
    table = capsys.readouterr().out
    assert f"on {data}: 60 lines, {micro['support']} entities" in table
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines() if line}
    assert rows["strict"][3] == f"{micro['f1']:.4f}"
    assert rows["all labels"][5] == f"{micro['f1']:.4f}"
    low, high = figures["f1_intervals"]["all labels"]
    assert rows["all labels"][6] == f"{low:.3f}-{high:.3f}"
    assert low < micro["f1"] < high
    assert rows["O"][4] == f"{figures['words']['rows']['O']['f1']:.4f}"
    assert rows["right borders, wrong label"][-1] == str(
        figures["kinds"]["right borders, wrong label"]
    )
    seen = figures["by_novelty"]["seen with this label"]
    assert rows["seen with this label"][4] == str(seen["support"])
    assert sum(row["support"] for row in figures["by_novelty"].values()) == micro["support"]


def test_the_temperature_brings_scores_closer_to_what_is_right(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _figures(capsys, checkpoint, "--data", data)["reliability"]
    assert found["temperature"] > 1
    for scores in (found["words"], found["entities"]):
        assert scores["as_served"]["ece"] < scores["at_temperature_1"]["ece"]
        assert scores["as_served"]["brier"] < scores["at_temperature_1"]["brier"]


def test_the_page_shows_the_worst_errors_and_needs_nothing_else(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "evaluation.html"
    figures = _figures(capsys, checkpoint, "--data", data, "--html", page)
    html = page.read_text()
    worst = figures["worst"]
    assert len(worst) >= 10, "one line in six is wrong"
    assert html.count('class="error"') == len(worst)
    assert html.count('class="wrong"') == sum(
        (error["gold"] is not None) + (error["predicted"] is not None)
        for line in worst
        for error in line["errors"]
    )
    assert worst[0]["place"].startswith(f"{data}:")
    assert worst[0]["weight"] == max(line["weight"] for line in worst)
    assert html.count("<svg") == 2
    assert outside_links(html) == []


def test_a_page_that_cannot_be_written_costs_no_figures(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(checkpoint), "--data", str(data), "--html", "/dev/null/page.html"]
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["entities"]


def test_labels_that_the_other_tagger_lacks_are_told(
    checkpoint: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace("-Item", "-Thing"))
    assert main(["evaluate", str(checkpoint), "--data", str(data), "--against", str(other)]) == 0
    assert f"{other}: expected the labels of {data}, got none of Item; " in caplog.text


def test_two_taggers_are_compared_label_by_label(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = _figures(capsys, checkpoint, "--data", data, "--against", checkpoint)
    assert same["against"]["overall"]["p_value"] == 1
    bundle = write_bundle(tmp_path / "bundle", tags=load_trained(checkpoint).tags)
    other = _figures(capsys, checkpoint, "--data", data, "--against", bundle)
    assert other["other_runs"] == "model_fp32.onnx on CPUExecutionProvider"
    overall = other["against"]["overall"]
    assert overall["after"] == other["entities"]["micro"]["f1"]
    assert overall["before"] < 0.5, "an untrained bundle"
    assert overall["loss_points"] < 0
    assert overall["p_value"] < 0.01
    assert set(other["against"]["by_label"]) == {"Activity", "Item", "Observation"}


def test_a_bundle_is_evaluated_with_the_graph_asked_for(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_bundle(tmp_path / "bundle", tags=load_trained(checkpoint).tags)
    figures = _figures(capsys, bundle, "--data", data, "--precision", "fp32")
    assert figures["runs"] == "model_fp32.onnx on CPUExecutionProvider"
    assert figures["by_novelty"] is None, "a bundle has no train lines"
    figures = _figures(capsys, bundle, "--data", data, "--train", data)
    seen = figures["by_novelty"]["seen with this label"]
    assert seen["support"] == figures["entities"]["micro"]["support"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tagger": "nothing"}, "nothing: expected a checkpoint, got no config.json; train it"),
        ({"data": "nothing.jsonl"}, "nothing.jsonl: expected a readable file"),
        (
            {"labels": "Pump"},
            ":2: expected a label that the tagger has, got 'Pump'; map or drop it with --label-map",
        ),
        (
            {"more": ["--precision", "int8"]},
            "expected a bundle for --precision int8, got none; export one with python -m export",
        ),
        ({"more": ["--html", "/dev/null/page.html"]}, "/dev/null: "),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    message: str,
) -> None:
    path = tmp_path / "lines.jsonl"
    lines = tiny_lines(seed=9, num_lines=60)
    if "labels" in change:
        lines[1] = Example("pump", (Span(0, 4, change["labels"]),))
    write_jsonl(path, lines)
    tagger, data = change.get("tagger", checkpoint), change.get("data", path)
    status = main(["evaluate", str(tagger), "--data", str(data), *change.get("more", [])])
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_map_of_labels_that_a_test_file_lacks_is_told_and_goes_on(
    checkpoint: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["evaluate", str(checkpoint), "--data", str(data), "--label-map", "Event="]) == 0
    expected = "warning: --label-map: expected a label of the data (Activity, Item, Observation), "
    assert expected + "got 'Event'" in caplog.text


def test_a_checkpoint_without_its_head_is_refused(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "headless"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "O", "1": "B-Item", "2": "I-Item"}
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["evaluate", str(folder), "--data", str(data)]) == 1
    assert f"{folder}: expected" in capsys.readouterr().err
    config["id2label"] = {"0": "X"}
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["evaluate", str(folder), "--data", str(data)]) == 1
    assert "config.json: expected tags O, B-X or I-X, got 'X'" in capsys.readouterr().err


def test_wrong_usage_leaves_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["evaluate", "build/checkpoint"])
    assert leaving.value.code == 2
    assert "the following arguments are required: --data" in capsys.readouterr().err


def test_a_folder_of_brat_is_evaluated(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("replace pump\n")
    (tmp_path / "one.ann").write_text("T1\tItem 8 12\tpump\n")
    figures = _figures(capsys, checkpoint, "--data", tmp_path)
    assert len(figures["data_sha256"]) == 64


def test_named_train_lines_are_read_and_mapped_as_the_data_is(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.jsonl"
    lines = tiny_lines(seed=9, num_lines=30)
    renamed = (tuple(Span(s.start, s.end, f"Old{s.label}") for s in line.spans) for line in lines)
    write_jsonl(old, [Example(e.text, spans) for e, spans in zip(lines, renamed, strict=True)])
    labels = sorted({span.label for line in lines for span in line.spans})
    label_map = ",".join(f"Old{label}={label}" for label in labels)
    figures = _figures(capsys, checkpoint, "--data", old, "--label-map", label_map, "--train", old)
    seen = figures["by_novelty"]["seen with this label"]
    assert seen["support"] == figures["entities"]["micro"]["support"]


def test_spans_that_no_words_can_express_are_told(
    tiny_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "test.jsonl"
    write_jsonl(
        path, [Example("replace pumps", (Span(8, 12, "Item"),)), *tiny_lines(seed=9, num_lines=20)]
    )
    assert main(["evaluate", str(tiny_checkpoint), "--data", str(path)]) == 0
    expected = "test.jsonl:1: expected spans that begin and end with a word, got 'pump' for Item"
    assert expected in caplog.text


def test_lines_that_the_tagger_was_trained_on_are_told(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "lines.jsonl"
    write_jsonl(data, [*tiny_lines(seed=1, num_lines=3), Example("a line of its own", ())])
    assert main(["evaluate", str(checkpoint), "--data", str(data), "--json"]) == 0
    assert f"{data}: 3 of 4 lines stand in {checkpoint}/train.jsonl too" in caplog.text

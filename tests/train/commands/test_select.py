import json
import math
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from serve.examples import Example, read_jsonl, write_jsonl
from train.__main__ import main
from train.selection.embedding import embed
from train.selection.uncertainty import uncertainty
from train.trained.model import load_trained


@pytest.fixture
def pool(tmp_path: Path, tiny_data: Path) -> Path:
    path = tmp_path / "raw.txt"
    texts = [example.text for example in read_jsonl(tiny_data / "train.jsonl")]
    path.write_text("".join(f"{text}\n" for text in [*texts, "", "zzz qqq xxx", "..."]))
    return path


def test_lines_are_written_for_both_tools_with_the_taggers_labels(
    tiny_checkpoint: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "next"
    arguments = ["select", str(tiny_checkpoint), "--pool", str(pool), "--output", str(out)]
    assert main([*arguments, "--num", "8", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed) == len({row["text"] for row in printed}) == 8
    tasks = json.loads((out / "label_studio.json").read_text())
    doccano = read_jsonl(out / "doccano.jsonl")
    assert [task["data"]["text"] for task in tasks] == [line.text for line in doccano]
    assert [line.text for line in doccano] == [row["text"] for row in printed]
    for task, row, line in zip(tasks, printed, doccano, strict=True):
        (prediction,) = task["predictions"]
        values = [result["value"] for result in prediction["result"]]
        expected = [(e["start"], e["end"], e["label"]) for e in row["entities"]]
        assert [(v["start"], v["end"], v["labels"][0]) for v in values] == expected
        assert [(s.start, s.end, s.label) for s in line.spans] == expected
        assert prediction["score"] == pytest.approx(math.exp(-row["uncertainty"]))
    ElementTree.fromstring((out / "label_studio.xml").read_text())


def test_the_interface_has_labels_that_the_tagger_did_not_find(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "raw.txt").write_text("zzz qqq xxx\n")
    arguments = ["--pool", str(tmp_path / "raw.txt"), "--output", str(tmp_path / "next")]
    assert main(["select", str(tiny_checkpoint), *arguments]) == 0
    interface = ElementTree.fromstring((tmp_path / "next" / "label_studio.xml").read_text())
    offered = {label.get("value") for label in interface.iter("Label")}
    assert offered == set(load_trained(tiny_checkpoint).tags.labels)


def test_labelled_lines_are_left_out(
    tiny_checkpoint: Path, pool: Path, tiny_data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = str(tmp_path / "next")
    arguments = ["select", str(tiny_checkpoint), "--pool", str(pool), "--output", out]
    assert main([*arguments, "--labelled", str(tiny_data / "train.jsonl")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [word for word in ("zzz", "qqq", "xxx") if word not in line] == []


def test_lines_that_the_checkpoint_has_labelled_are_left_out_and_said(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")
    splits = {"train": "replace pump", "dev": "inspect belt", "test": "clean engine"}
    for name, text in splits.items():
        write_jsonl(folder / f"{name}.jsonl", [Example(text, ())])
    lines = [*splits.values(), "Replace  PUMP.", "repair hose", "zzz qqq"]
    (tmp_path / "raw.txt").write_text("".join(f"{line}\n" for line in lines))
    arguments = ["--pool", str(tmp_path / "raw.txt"), "--output", str(tmp_path / "next"), "--json"]
    with caplog.at_level("INFO"):
        assert main(["select", str(folder), *arguments]) == 0
    printed = {row["text"]: row["distance"] for row in json.loads(capsys.readouterr().out)}
    assert printed.keys() == {"repair hose", "zzz qqq"}
    assert max(printed.values()) < 2, "both are kept away from the train line"
    assert (
        "2 lines to choose from; left out are 2 that train has, were labelled since or came twice, "
        "and 2 that dev or test has" in caplog.text
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--pool": "none.txt"}, "none.txt: expected a readable file"),
        ({"CHECKPOINT": "no/such"}, "no/such: expected a checkpoint"),
        ({"--labelled": "none.txt"}, "none.txt: expected a readable file"),
        ({"--output": "."}, ".: expected a new or empty folder, got something there"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tiny_checkpoint: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: dict[str, str], message: str,
) -> None:  # fmt: skip
    flags = {"--pool": str(pool), "--output": str(tmp_path / "next")} | change
    checkpoint = flags.pop("CHECKPOINT", str(tiny_checkpoint))
    pairs = [part for flag in flags.items() for part in flag]
    assert main(["select", checkpoint, *pairs]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "next").exists()


def test_nothing_to_choose_from_is_told(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw.txt").write_text("\n...\n")
    arguments = ["--pool", str(tmp_path / "raw.txt"), "--output", str(tmp_path / "next")]
    assert main(["select", str(tiny_checkpoint), *arguments]) == 1
    error = capsys.readouterr().err
    assert "expected lines that are not labelled yet, got none; left out are 0 that" in error
    assert "name other files with --pool" in error


def test_doubt_is_the_mean_surprise_of_the_served_tags(tiny_checkpoint: Path) -> None:
    trained = load_trained(tiny_checkpoint)
    tagger = trained.tagger()
    texts = ["replace oil pump", "", "zz qq yy ww"]
    found = uncertainty(tagger, texts)
    logits = tagger.word_logits(tagger.encoder.encode(texts[:1])).astype(np.float64)
    best = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1)
    assert found[0] == pytest.approx(-np.log(best).mean(), rel=1e-4)
    assert found[1] == 0.0
    assert found[2] > found[0], "unknown words are in more doubt"
    assert uncertainty(tagger, ["", " "]).tolist() == [0.0, 0.0]


def test_embeddings_depend_on_their_own_text_only(tiny_checkpoint: Path) -> None:
    trained = load_trained(tiny_checkpoint)
    texts = ["pump", "", "replace the hydraulic hose on the engine", "pump"]
    found = embed(trained.model, trained.encoder, texts)
    alone = embed(trained.model, trained.encoder, texts[:1])
    assert np.allclose(found[0], found[3])
    assert np.allclose(found[0], alone[0], atol=1e-5)
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 0, 1, 1], atol=1e-5)


def test_a_label_map_is_refused_as_labels_are_the_taggers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["select", "c", "--pool", "raw.txt", "--output", "next"]
    with pytest.raises(SystemExit):
        main([*arguments, "--label-map", "A=B"])
    assert "unrecognized arguments: --label-map A=B" in capsys.readouterr().err

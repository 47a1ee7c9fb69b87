import json
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from serve.bundle import sha256
from serve.examples import Example, Span, read_jsonl
from train.__main__ import main
from train.corpus.data import Split
from train.loop.curves import draw_curves
from train.loop.state import Epoch
from train.model.card import model_card
from train.record import split_json

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def checkpoint(tiny_base: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card") / "checkpoint"
    training = ["--epochs", "3", "--learning-rate", "1e-2", "--output", str(folder)]
    assert main(["--data", str(tiny_data), "--model", str(tiny_base), *training]) == 0
    return folder


@pytest.fixture
def record(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / "train.json").read_text())


@pytest.fixture
def evaluation(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / "evaluation.json").read_text())


def row(card: str, name: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", card, re.MULTILINE)
    return line.split(" | ")


def test_the_card_tells_data_hashes_figures_and_how_it_was_made(
    checkpoint: Path, tiny_data: Path, evaluation: dict[str, Any]
) -> None:
    card = (checkpoint / "README.md").read_text()
    digest = sha256((tiny_data / "dev.jsonl").read_bytes())
    assert row(card, "dev")[0:2] == ["dev.jsonl", "30"]
    assert row(card, "dev")[3] == f"`{digest}`"
    micro = evaluation["test"]["entities"]["micro"]
    assert row(card, "all (micro)")[2] == f"{micro['f1']:.3f} (of {micro['support']})"
    assert row(card, "epochs")[0].startswith("3, the best was ")
    assert '"learning_rate": 0.01' in row(card, "settings")[0]
    assert "Dev chose the best of 3 epochs, so its figures flatter; test was not" in card


def test_the_cards_picture_is_beside_it(checkpoint: Path) -> None:
    name = re.search(r"!\[.*\]\((.*)\)", (checkpoint / "README.md").read_text())
    assert name
    assert (checkpoint / name[1]).read_bytes().startswith(PNG)


def test_limits_are_those_of_the_data(
    checkpoint: Path, record: dict[str, Any], evaluation: dict[str, Any]
) -> None:
    lines = read_jsonl(checkpoint / "calibration.jsonl")
    for part in ("dev", "test"):
        for found in evaluation[part]["entities"]["rows"].values():
            found["f1"] = 0.9
    card = model_card(record, evaluation, lines)
    assert "Hardly learnt" not in card
    assert "Never found" not in card
    record["data"]["train"]["num_spans"] |= {"Item": 19}
    evaluation["test"]["entities"]["rows"]["Item"]["f1"] = 0.0
    card = model_card(record, evaluation, lines)
    assert "Hardly learnt, fewer than 20 entities in train: Item (19)." in card
    assert "Never found rightly in test: Item." in card


def test_a_label_that_gold_lacks_has_no_figure(
    checkpoint: Path, record: dict[str, Any], evaluation: dict[str, Any]
) -> None:
    del evaluation["dev"]["entities"]["rows"]["Item"]
    card = model_card(record, evaluation, read_jsonl(checkpoint / "calibration.jsonl"))
    assert row(card, "Item")[1] == "none in gold"


def test_a_label_of_which_every_line_is_held_out_is_counted_all_the_same(tiny_data: Path) -> None:
    path = tiny_data / "train.jsonl"
    split = Split(path, ("a:1",), (Example("fix it", (Span(0, 3, "Act"),)),))
    assert split_json(split, ("Act", "Item"))["num_spans"] == {"Act": 1, "Item": 0}


def test_a_card_of_a_refit_says_that_test_decided_and_names_every_file(
    checkpoint: Path, record: dict[str, Any], evaluation: dict[str, Any]
) -> None:
    whole = record["data"]["train"]
    part = {"file": "june.jsonl", "sha256": "a1", "num_lines": 3, "num_spans": {"Item": 2}}
    old = {"file": "train.jsonl", "sha256": "b2", "num_lines": 4, "num_spans": {"Item": 5}}
    parts = [{"role": "new"} | part, {"role": "replay"} | old]
    counts = {key: whole[key] for key in ("num_lines", "num_spans")}
    record["data"]["train"] = counts | {"parts": parts}
    record["refit"] = {}
    card = model_card(record, evaluation, read_jsonl(checkpoint / "calibration.jsonl"))
    assert "| train | june.jsonl (new) | 3 | 2 | `a1` |" in card
    assert "| train | train.jsonl (replay) | 4 | 5 | `b2` |" in card
    assert "test was not used" not in card
    assert "so may those of test, which decided that this tagger succeeds the last." in card


def test_a_label_with_a_bar_stays_in_its_cell(
    checkpoint: Path, record: dict[str, Any], evaluation: dict[str, Any]
) -> None:
    record["data"]["train"]["num_spans"]["A|B"] = 50
    card = model_card(record, evaluation, read_jsonl(checkpoint / "calibration.jsonl"))
    assert "| A\\|B | 50 |" in card


NAMES = (
    "x<img src=https://evil/p.png>.jsonl", "[a](javascript:alert)", "<!--", "a`b``c`", "a\\",
    "~~a~~", "*a* _b_", "&lt;b>",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_in_the_card_as_they_are(
    checkpoint: Path, record: dict[str, Any], evaluation: dict[str, Any], name: str
) -> None:
    record["data"]["dev"]["file"] = record["base"]["name"] = f"{name}\x1b[2J"
    record["data"]["train"]["num_spans"][name] = 3
    evaluation["test"]["entities"]["rows"][name] = {"f1": 0.0, "support": 2}
    card = model_card(record, evaluation, read_jsonl(checkpoint / "calibration.jsonl"))
    assert "\x1b" not in card
    html = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(card.split("---\n", 2)[2])
    )
    assert f"<td>{escape(name)}\ufffd[2J</td>" in html
    assert f"<td>{escape(name)}</td>" in html
    assert f"<code>{escape(name)}\ufffd[2J</code>" in html
    assert html.count(f"{escape(name)} (3)") == 1
    assert not re.search("<(img src=.https|a|s|em|!)[ >-]", html)


def test_one_epoch_and_an_infinite_score_are_drawn_too() -> None:
    assert draw_curves([Epoch(1, 0.5, 0.0)]).startswith(PNG)
    assert draw_curves([Epoch(1, 3.0, float("inf")), Epoch(2, 2.0, 9.0)]).startswith(PNG)

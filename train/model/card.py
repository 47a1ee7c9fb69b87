"""Owns the model card: the README.md of a checkpoint, for whoever finds it in a year.

Everything in it comes from the run's own record and figures. Its limits are said first of what the
data shows, then of what no figure here can show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from huggingface_hub import ModelCardData

from serve.display.render import printable
from serve.examples import Example
from train.corpus.data import RARE

CARD, CURVES = "README.md", "curves.png"
_SHARE = 0.99
"""Of the train lines that are no longer than the length the card tells."""

Row = Sequence[object]


def model_card(
    record: Mapping[str, Any], evaluation: Mapping[str, Any], train_lines: Sequence[Example]
) -> str:
    """Return the card as Markdown.

    Args:
        record: How the checkpoint came about; see `train.record`.
        evaluation: Its figures by split; see `train.scores.report`.
        train_lines: What it was trained on.
    """
    labels = [_plain(label) for label in record["data"]["train"]["num_spans"]]
    parts = [
        _front(record),
        f"# A tagger of {len(labels)} labels",
        f"It finds {', '.join(labels)} in lines of text: whole words, no entity inside another. "
        f"Made by `python -m train` from {_code(record['base']['name'])}{_taught(record)}; every "
        "setting is in `train.json`, every figure in `evaluation.json`.",
        "## Data",
        _table(("split", "file", "lines", "entities", "SHA-256"), _data(record)),
        "## Figures",
        "Entity F1, strict: label, start and end all equal gold's.",
        _table(("label", "entities in train", *evaluation), _figures(record, evaluation)),
        f"![loss and dev F1 by epoch]({CURVES})",
        "## Limits",
        "\n".join(f"* {limit}" for limit in _limits(record, evaluation, train_lines)),
        "## How it was made",
        _table(("", ""), _made(record)),
        "## Use",
        _USE,
    ]
    return "\n\n".join(parts)


_USE = """```sh
python -m export --model . --output ../bundle  # graphs for production, each held against this model
echo "replace oil pump" | python -m serve tag --bundle ../bundle
```

In transformers: `pipeline("token-classification", model=".", aggregation_strategy="first")`, which
reads the largest logit of each word; `decoding.json`, where there is one, is for Linetag alone.
"""


def _front(record: Mapping[str, Any]) -> str:
    facts = ModelCardData(
        pipeline_tag="token-classification",
        library_name="transformers",
        base_model=record["base"]["name"],
        tags=["named-entity-recognition", "linetag"],
    )
    return f"---\n{facts.to_yaml()}\n---"


def _taught(record: Mapping[str, Any]) -> str:
    """Return who taught it besides the labels, where somebody did."""
    if "distillation" not in record:
        return ""
    lesson = record["distillation"]
    names = ", ".join(_code(teacher["name"]) for teacher in lesson["teachers"])
    return f", taught by {names} (gold's labels count {lesson['gold_share']:.0%})"


def _data(record: Mapping[str, Any]) -> Iterable[Row]:
    for name, split in record["data"].items():
        for part in split.get("parts", [split]):
            file = _plain(part["file"]) + (f" ({part['role']})" if "role" in part else "")
            entities = sum(part["num_spans"].values())
            yield name, file, part["num_lines"], entities, _code(part["sha256"])
    lesson = record.get("distillation", {})
    if lesson.get("num_unlabelled"):
        files = ", ".join(map(_plain, lesson["unlabelled"]))
        digest = _code(lesson["unlabelled_sha256"])
        yield "unlabelled", files, lesson["num_unlabelled"], "", f"{digest} (of the lines used)"


def _figures(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterable[Row]:
    trained = record["data"]["train"]["num_spans"]
    rows = [figures["entities"] for figures in evaluation.values()]
    for label, number in trained.items():
        yield _plain(label), number, *(_f1(row["rows"].get(label)) for row in rows)
    yield "all (micro)", sum(trained.values()), *(_f1(row["micro"]) for row in rows)


def _f1(figures: Mapping[str, Any] | None) -> str:
    if not figures or not figures["support"]:
        return "none in gold"
    return f"{figures['f1']:.3f} (of {figures['support']})"


def _limits(
    record: Mapping[str, Any], evaluation: Mapping[str, Any], train_lines: Sequence[Example]
) -> Iterable[str]:
    trained = record["data"]["train"]["num_spans"]
    if rare := [f"{_plain(label)} ({num})" for label, num in trained.items() if num < RARE]:
        yield f"Hardly learnt, fewer than {RARE} entities in train: {', '.join(rare)}."
    for split, figures in evaluation.items():
        rows = figures["entities"]["rows"]
        missed = [_plain(k) for k, row in rows.items() if row["support"] and not row["f1"]]
        if missed:
            yield f"Never found rightly in {split}: {', '.join(missed)}."
    lengths = sorted(len(example.text.split()) for example in train_lines)
    usual = lengths[int(_SHARE * (len(lengths) - 1))]
    yield (
        f"Trained on lines of up to {usual} words ({_SHARE:.0%} of them): longer ones are read, "
        "but how well is not measured here."
    )
    test = ""
    if "test" in evaluation:
        test = "; test was not used to choose anything in this run"
        if "refit" in record:
            test = "; so may those of test, which decided that this tagger succeeds the last"
    yield f"Dev chose the best of {len(record['epochs'])} epochs, so its figures flatter{test}."
    yield (
        "Other sites, machines, years or languages than those of the train lines were not "
        "measured: label some of their lines and run `python -m train evaluate` first."
    )
    yield "How far scores can be trusted, `python -m train evaluate` shows."


def _made(record: Mapping[str, Any]) -> Iterable[Row]:
    cost = record["cost"]
    for file, digest in record["base"]["weights_sha256"].items():
        yield f"SHA-256 of the base model's {_plain(file)}", _code(digest)
    for teacher in record.get("distillation", {}).get("teachers", []):
        for file, digest in teacher["weights_sha256"].items():
            yield f"SHA-256 of {_plain(teacher['name'])}'s {_plain(file)}", _code(digest)
    yield "settings", _code(json.dumps(record["settings"], sort_keys=True))
    yield "epochs", f"{len(record['epochs'])}, the best was {record['best_epoch']}"
    processes = f"{cost['num_processes']} process{'es' if cost['num_processes'] > 1 else ''}"
    yield "ran on", f"{cost['device']}, {cost['number_format']}, {processes}"
    yield "training time", f"{cost['training_s']:.0f} s"
    yield "most memory", f"{cost['peak_memory_bytes'] / 1e6:.0f} MB"
    yield "versions", ", ".join(f"{k} {v}" for k, v in record["versions"].items())


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    number = f"{value:,}" if isinstance(value, int) else str(value)
    return number.replace("|", "\\|").replace("\n", " ")


def _plain(text: str) -> str:
    """Return a user's words as they are, where Markdown or HTML would take them for its own."""
    return re.sub(r"([\\`*_~$\[\]])", r"\\\1", escape(printable(text), quote=False))


def _code(text: str) -> str:
    """Return a text as code, between more backticks than it has in a row."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{printable(text)}{space}{ticks}"

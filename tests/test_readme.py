"""README's commands for labelled lines, as they stand there, on real work orders and a tiny model.

Only what makes them small is added: a name or an option in README that no longer fits fails here.
"""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest

from export.__main__ import main as export
from tests.conftest import ROOT
from train.__main__ import COMMANDS, main

TAGS = {"B-Observed_state": "B-Observation", "I-Observed_state": "I-Observation"}
LINE = b"replce blown o-ring off steering hose\n"
LABELS = {"Activity", "Item", "Location", "Observation"}
SMALL = ("--epochs", "2", "--learning-rate", "1e-2", "--arithmetic", "fp32")
FLAGS = {
    "adapt": SMALL,
    "curve": (*SMALL, "--sizes", "20,40", "--draws", "1"),
    "search": (*SMALL, "--trials", "2"),
    "distil": SMALL,
    "refit": SMALL,
    "select": ("--num", "5"),
}
WRITTEN = {
    "convert": "lines.conll",
    "split": "parts/train.jsonl",
    "curve": "build/curve/curve.png",
    "select": "build/next/label_studio.json",
    "adapt": "build/base/model.safetensors",
    "search": "build/search/study.db",
    "evaluate": "build/evaluation.html",
    "explain": "build/why.html",
    "refit": "build/2026-12/decision.json",
}
REFUSED = {"refit": 1}
"""What ends with 1 here: no successor wins in two epochs."""


def commands() -> dict[str, list[str]]:
    """Return the arguments of each command of train that README shows, by its name."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^\.venv/bin/python -m train (?!-)(.*)$", text, flags=re.MULTILINE)
    found = [shlex.split(line, comments=True) for line in lines]
    return {arguments[0]: arguments for arguments in found}


def sentences(path: Path, num_lines: int) -> list[str]:
    """Return the first sentences of a file whose labels are all frequent ones."""
    kept = []
    for sentence in path.read_text().strip().split("\n\n"):
        rows = [row.split() for row in sentence.splitlines()]
        tags = [TAGS.get(tag, tag) for _, tag in rows]
        if {tag[2:] for tag in tags if tag != "O"} <= LABELS:
            kept.append(
                "\n".join(f"{word} {tag}" for (word, _), tag in zip(rows, tags, strict=True))
            )
    return kept[:num_lines]


@pytest.fixture(scope="module")
def workplace(shared_data: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every file that the commands name, of real lines."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for where, first in {"my/lines": 0, "my/december": 100}.items():
            Path(where).mkdir(parents=True)
            for split, num_lines in {"train": 100, "dev": 30, "test": 30}.items():
                rows = sentences(shared_data / "mwo2kg" / f"{split}.txt", first + num_lines)
                Path(where, f"{split}.txt").write_text("\n\n".join(rows[-num_lines:]) + "\n")
        texts = (shared_data / "domain_text" / "mwo2kg_texts.txt").read_text().splitlines()
        Path("raw.txt").write_text("\n".join(texts[:150]))
        Path("december.txt").write_text("\n".join(texts[150:450]))
        assert main(["convert", "my/lines/train.txt", "tasks.json", "--to", "label-studio"]) == 0
        assert main(["convert", "my/lines/train.txt", "lines.jsonl"]) == 0
        assert main(["convert", "my/lines/test.txt", "test.jsonl"]) == 0
        train = ["--data", "my/lines", "--model", str(tiny_base), *SMALL]
        for seed, name in enumerate(("checkpoint", "a", "b")):
            assert main([*train, "--output", f"build/{name}", "--seed", str(seed)]) == 0
        assert export([]) == 0
    return folder


def test_readme_shows_every_command_and_no_other() -> None:
    assert commands().keys() == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_readme_runs_on_real_lines(
    name: str,
    workplace: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINE)))
    base = ["--model", str(tiny_base)] if name in ("adapt", "curve", "search", "distil") else []
    output = ["--output", "build/student"] if name == "distil" else []
    status = main([*commands()[name], *FLAGS.get(name, ()), *base, *output])
    shown = capsys.readouterr()
    assert status == REFUSED.get(name, 0), shown.err[-500:]
    assert shown.out.strip(), "what a command says goes to standard output"
    assert "Traceback" not in shown.err
    if name in WRITTEN:
        assert (workplace / WRITTEN[name]).is_file(), shown.err[-500:]

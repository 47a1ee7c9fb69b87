"""Every command that a page shows, or that make runs, is one that its program takes.

Programs parse their arguments and do nothing; `test_readme.py` runs those of train.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serve.__main__ import VERBS
from tests.conftest import ROOT
from tests.shown import Shown, make_commands, shown_in, shown_on
from train.config import DEFAULT_MODEL

PAGES = (
    *("README.md", "train/README.md", "train/sample/README.md", "benchmarks/README.md"),
    *(f"benchmarks/results/{name}/README.md" for name in ("accuracy", "curve")),
)
SHOWN = {page: shown_on((ROOT / page).read_text()) for page in PAGES}
RUNS = [
    [],
    ["DATA=my/lines", "MODEL=other/checkpoint", "LABEL_MAP=Old=New,Unwanted="],
    ["DATA=corpora/mwo2kg"],
    *(words[1:] for words in make_commands((ROOT / "README.md").read_text()) if len(words) > 1),
]
TARGETS = ("bench", "grid", "memory", "load", "path", "clean")


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file of the project be what makes a command right."""
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")


def made(folder: Path, *arguments: str) -> list[Shown]:
    """Return the commands that make would run in a new checkout; none of them is run."""
    shutil.copy(ROOT / "Makefile", folder)
    locks = (f".ci/lock/{path.name}" for path in ROOT.glob(".ci/lock/*.txt"))
    for name in ("pyproject.toml", *locks):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").touch(mode=0o755)  # what clean asks for
    path = {"PATH": os.environ["PATH"]}  # no settings of a make that runs the tests
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=folder, env=path, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return shown_in(done.stdout)


def taken(command: Shown) -> Any:
    """Return the settings a program makes of a command; fail if it does not take it."""
    try:
        return command.parse()
    except SystemExit as left:
        if left.code or "--help" not in command.arguments:
            pytest.fail(f"{command}: its program does not take it")
        return None


@pytest.mark.parametrize(
    ("page", "command"),
    [pytest.param(page, each, id=f"{page}: {each}") for page in PAGES for each in SHOWN[page]],
)
def test_a_command_that_a_page_shows_is_taken_by_its_program(page: str, command: Shown) -> None:
    taken(command)


def test_every_page_is_searched_and_readme_shows_every_verb_of_serving() -> None:
    assert all(SHOWN.values())
    readme = SHOWN["README.md"]
    verbs = {command.arguments[0] for command in readme if command.program == "serve"}
    assert verbs >= {*VERBS} - {"status", "rollback"}, "those two are in README's prose"
    assert Shown("serve", ("tag", "--url", "127.0.0.1:8001", "--color")) in readme
    assert Shown("serve", ("start", "--replicas", "2", "--detach")) in readme
    assert Shown("train", ("--data", "train/sample")) in readme


@pytest.mark.parametrize(
    "wrong",
    [
        "python -m serve publish --promoted",
        "url=$(python -m serve start --detached) # in the background",
        'echo "a < b" | python -m serve tag --color --lines 3 < file',
        "python -m export verify",
        "python -m export lint",
        "python -m train --date my/lines",
        "python -m benchmarks.latency --second 3x",
    ],
)
def test_a_command_that_no_program_takes_is_seen(wrong: str) -> None:
    (command,) = shown_in(wrong)
    with pytest.raises(SystemExit) as left:
        command.parse()
    assert left.value.code == 2


@pytest.mark.parametrize("given", RUNS, ids=" ".join)
def test_make_run_gives_its_programs_what_they_take_and_the_user_named(
    given: list[str], tmp_path: Path
) -> None:
    commands = made(tmp_path, "run", *given)
    programs = [command.program for command in commands]
    assert programs == ["train", "export", "serve", "benchmarks.tour"]
    config, *_ = map(taken, commands)
    named = dict(setting.split("=", 1) for setting in given)
    assert config.data == Path(named.get("DATA", "train/sample"))
    assert config.model == named.get("MODEL", DEFAULT_MODEL)
    stray = "Observed_state=Observation,Event=" if "mwo2kg" in str(config.data) else ""
    pairs = named.get("LABEL_MAP", stray).split(",")
    assert config.label_map == tuple(tuple(pair.split("=")) for pair in pairs if pair)


@pytest.mark.parametrize("target", TARGETS)
def test_what_make_runs_for_another_target_is_taken(target: str, tmp_path: Path) -> None:
    commands = made(tmp_path, target)
    assert commands, "this target runs no program of ours"
    for command in commands:
        taken(command)

"""Drift is quiet on lines of the tagger's own kind and loud on others."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from serve.examples import read_jsonl, write_jsonl
from tests.conftest import tiny_lines
from train.__main__ import main
from train.commands.drift import DriftConfig, parse_args


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Return the tiny checkpoint with lines that are rarely the same."""
    folder = tmp_path_factory.mktemp("drift") / "checkpoint"
    folder.mkdir()
    for path in tiny_checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for seed, (part, num) in enumerate({"train": 60, "dev": 120, "test": 120}.items(), 1):
        write_jsonl(folder / f"{part}.jsonl", tiny_lines(seed=seed, num_lines=num))
    return folder


def written(path: Path, texts: list[str]) -> str:
    path.write_text("".join(f"{text}\n" for text in texts))
    return str(path)


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["drift", *arguments, "--json"]) == 0
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


@pytest.mark.parametrize("seed", range(4))
def test_lines_of_the_same_kind_are_quiet(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    texts = [line.text for line in tiny_lines(seed=100 + seed, num_lines=200)]
    found = report(
        capsys, "--reference", str(tagger), "--lines", written(tmp_path / "a.txt", texts)
    )
    assert found["verdict"] == "refit is not due: chance explains every difference"
    assert found["num_new"] > 30
    assert not found["is_due"]


def test_a_tagger_without_test_lines_is_held_against_its_dev_lines(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tagger, folder)
    lines = written(tmp_path / "a.txt", [line.text for line in tiny_lines(seed=100, num_lines=200)])
    both = report(capsys, "--reference", str(folder), "--lines", lines)
    (folder / "test.jsonl").unlink()
    dev = report(capsys, "--reference", str(folder), "--lines", lines)
    assert 30 <= dev["num_reference"] < both["num_reference"]


def test_lines_of_another_kind_are_loud_and_their_words_are_named(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose = random.Random(1)
    words = ["zebra", "quartz", "pump", "jumbo", "vexing", "on"]
    texts = [" ".join(choose.choices(words, k=6)) for _ in range(80)]
    path = written(tmp_path / "a.txt", texts)
    assert main(["drift", "--reference", str(tagger), "--lines", path]) == 0
    *_, verdict = capsys.readouterr().out.splitlines()
    assert verdict.startswith("refit is due: chance does not explain unseen words; unseen tokens")
    found = report(capsys, "--reference", str(tagger), "--lines", path)
    unseen = {word for word, _ in found["unseen_words"]}
    assert {"zebra", "quartz", "jumbo", "vexing"} <= unseen
    assert "pump" not in unseen


def test_known_and_repeated_lines_say_nothing(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [line.text for line in read_jsonl(tagger / "train.jsonl")]
    path = written(tmp_path / "a.txt", [*known, *known, "zebra quartz", "ZEBRA quartz!"])
    found = report(capsys, "--reference", str(tagger), "--lines", path)
    assert (found["num_new"], found["num_known"]) == (1, 121)
    assert found["verdict"] == (
        "refit is not due: 1 lines are new to the tagger, too few to tell (30 needed)"
    )


def test_held_out_lines_that_come_again_are_left_out_too(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [line.text for part in ("dev", "test") for line in read_jsonl(tagger / f"{part}.jsonl")]
    other = [f"zebra quartz {i}" for i in range(30)]
    lines = written(tmp_path / "a.txt", [*held, *other])
    found = report(capsys, "--reference", str(tagger), "--lines", lines)
    assert (found["num_reference"], found["num_new"], found["findings"]) == (0, 30, [])
    assert found["num_again"] > 30
    assert found["verdict"] == (
        "refit is not due: 0 held-out lines are not among the new, too few to tell (30 needed)"
    )
    assert main(["drift", "--reference", str(tagger), "--lines", lines]) == 0
    assert f"and {found['num_again']} held-out ones that are" in capsys.readouterr().out


def test_another_domain_is_loud_and_more_lines_of_the_own_are_quiet(
    shared_data: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = tmp_path / "data", str(tmp_path / "checkpoint")
    text = (shared_data / "mwo2kg" / "train.txt").read_text()
    lines = text.strip().split("\n\n")
    for part, chosen in {
        "train": lines[:400],
        "dev": lines[400:550],
        "test": lines[550:700],
    }.items():
        data.mkdir(exist_ok=True)
        (data / f"{part}.conll").write_text("\n\n".join(chosen) + "\n")
    flags = ["--label-map", "Event=", "--epochs", "2"]
    assert main(["--data", str(data), "--model", str(tiny_base), "--output", output, *flags]) == 0
    capsys.readouterr()
    own = [" ".join(word.split()[0] for word in line.splitlines()) for line in lines[700:1000]]
    same = report(capsys, "--reference", output, "--lines", written(tmp_path / "own.txt", own))
    assert same["verdict"] == "refit is not due: chance explains every difference"
    other = (shared_data / "domain_text" / "faa_maintenance_remarks.txt").read_text().splitlines()
    path = written(tmp_path / "other.txt", other[:300])
    found = report(capsys, "--reference", output, "--lines", path)
    assert found["is_due"]
    drifted = {f["measure"] for f in found["findings"] if f["is_drift"]}
    assert {"unseen words", "words, Jensen-Shannon (bits)"} <= drifted


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    config = parse_args(["--reference", "a", "--lines", "b", "c"])
    assert config == DriftConfig(reference=Path("a"), lines=(Path("b"), Path("c")))


@pytest.mark.parametrize(
    ("reference", "lines", "message"),
    [
        ("none", "{t}", "none/train.jsonl: expected the tagger's train lines, got none"),
        ("{c}/bundle", "none.txt", "none.txt: expected a readable file"),
        ("{c}/checkpoint", "{c}/checkpoint/model.safetensors", "safetensors:.*: expected"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tiny_champion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reference: str,
    lines: str,
    message: str,
) -> None:
    text = written(tmp_path / "a.txt", ["replace pump"])
    places = {"c": tiny_champion, "t": text}
    arguments = ["--reference", reference.format(**places), "--lines", lines.format(**places)]
    assert main(["drift", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


def test_a_bundle_whose_checkpoint_is_elsewhere_needs_its_name(
    tiny_champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle").symlink_to(tiny_champion / "bundle")
    text = written(tmp_path / "a.txt", ["replace pump"])
    arguments = ["--reference", str(tmp_path / "bundle"), "--lines", text]
    assert main(["drift", *arguments]) == 1
    assert "name its folder with --checkpoint" in capsys.readouterr().err.splitlines()[-1]
    named = str(tiny_champion / "checkpoint")
    assert report(capsys, *arguments, "--checkpoint", named)["num_new"] == 1


@pytest.mark.parametrize("flags", [[], ["--reference", "a"], ["--reference", "a", "--lines"]])
def test_a_usage_error_leaves_with_2(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["drift", *flags])
    assert leaving.value.code == 2
    assert "argument" in capsys.readouterr().err

"""The way of a refit from new lines to a successor, and everything that stops it on the way."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from serve.bundle import Bundle, sha256
from serve.errors import TaggingError
from serve.examples import Example, Span, fold, read_jsonl, write_jsonl
from serve.repository import publish
from serve.tagger import Tagger
from tests.conftest import tiny_lines
from tests.train.conftest import vouch
from train.__main__ import main
from train.commands.refit import parse_args
from train.config import TrainConfig
from train.corpus.data import read_corpus
from train.loop.state import holding
from train.refit.config import MAX_REPLAY
from train.refit.gate import Rule
from train.trained.origin import checkpoint_of

FAST = ["--learning-rate", "1e-2", "--batch-size", "20", "--arithmetic", "fp32"]
SLOWER = ["--learning-rate", "3e-3"]
MWO2KG = (("Observed_state", "Observation"), ("Event", ""))
OTHER = {"Activity": "Item", "Item": "Observation", "Observation": "Activity"}


@pytest.fixture
def champion(tiny_champion: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny champion, so that what touches it spoils no other test."""
    return Path(shutil.copytree(tiny_champion, tmp_path / "champion"))


@pytest.fixture
def arguments(champion: Path, tmp_path: Path) -> list[str]:
    write_jsonl(tmp_path / "new.jsonl", tiny_lines(seed=9, num_lines=250))
    return [
        *("refit", "--champion", str(champion / "bundle"), "--new", str(tmp_path / "new.jsonl")),
        *("--output", str(tmp_path / "next"), *FAST),
    ]


def poison(path: Path) -> None:
    """Give each label of a file another's name."""
    lines = read_jsonl(path)
    write_jsonl(path, [renamed(line, OTHER) for line in lines])


def renamed(line: Example, names: dict[str, str]) -> Example:
    return Example(line.text, tuple(Span(s.start, s.end, names[s.label]) for s in line.spans))


def hashes(folder: Path) -> dict[str, str]:
    return {str(p): sha256(p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def left(folder: Path) -> list[str]:
    """Return what lies beside champion and new lines, hidden or not."""
    return sorted(p.name for p in folder.iterdir() if p.name not in ("champion", "new.jsonl"))


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    config = parse_args(["--champion", "a", "--new", "b", "c"])
    assert config.new == (Path("b"), Path("c"))
    assert config.training == TrainConfig(output=Path("build/refit"))
    assert (config.rule, config.replay, config.publish) == (Rule(), MAX_REPLAY, None)
    flags = "--allowance 0.5 --significance 0.1 --replay 7 --publish r --checkpoint d --epochs 2"
    other = parse_args(["--champion", "a", "--new", "b", *flags.split()])
    assert (other.rule, other.replay) == (Rule(0.5, 0.1), 7)
    assert (other.publish, other.checkpoint) == (Path("r"), Path("d"))
    assert other.training.epochs == 2


def test_a_better_challenger_becomes_a_bundle_is_published_and_leads_to_the_next_refit(
    arguments: list[str], champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = (tmp_path / "new.jsonl").rename(tmp_path / "new\udce4.jsonl")  # bytes that are no text
    arguments[4] = str(named)
    before, output, repository = hashes(champion), tmp_path / "next", tmp_path / "models"
    assert main([*arguments, "--publish", str(repository), "--json"]) == 0
    printed = capsys.readouterr()
    decision = json.loads(printed.out)
    assert printed.err.endswith("published as version 1; version 1 serves all callers\n")
    assert hashes(champion) == before
    assert left(tmp_path) == ["models", named.name, "next"]
    assert decision == json.loads((output / "decision.json").read_text())
    assert decision["accepted"]
    assert decision["published"] == 1
    assert decision["f1"]["both"]["overall"]["loss_points"] < -10
    assert set(decision["f1"]["old"]["by_label"]) == set(OTHER)
    assert (repository / "tagger" / "1").is_dir()
    successor = Bundle.load(output / "bundle")
    assert checkpoint_of(successor) == output / "checkpoint"
    (entities,) = Tagger.load(output / "bundle").tag(["replace the oil pump"])
    assert "Item" in {entity.label for entity in entities}
    parts = {p: read_jsonl(output / "checkpoint" / f"{p}.jsonl") for p in ("train", "dev", "test")}
    texts = {part: {fold(line.text) for line in lines} for part, lines in parts.items()}
    seen = [champion / "checkpoint" / f"{part}.jsonl" for part in ("train", "dev")]
    known = {fold(line.text) for path in seen for line in read_jsonl(path)}
    old = [fold(line.text) for line in read_jsonl(champion / "checkpoint" / "test.jsonl")]
    tested = [text for text in old if text not in known]
    assert set(tested) < texts["test"]
    lines = decision["lines"]
    assert lines["num_old_test"] == len(tested)
    assert lines["num_old_test_left_out"] == 60 - len(tested) > 0, "it knows their text"
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert len(parts["test"]) == len(tested) + lines["num_new_test"]
    record = json.loads((output / "checkpoint" / "train.json").read_text())
    card = (output / "checkpoint" / "README.md").read_text()
    assert "# A tagger of" in card
    assert f".jsonl (new) | {lines['num_new_test']} |" in card
    assert f"| test | test.jsonl (old) | {len(tested)} |" in card
    assert record["refit"]["champion"]["weights_sha256"] == decision["champion"]["weights_sha256"]


def test_a_refit_beside_another_is_refused_before_it_reads_a_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.jsonl").unlink()
    with holding(tmp_path / "next"):
        assert main(arguments) == 1
    assert "next: expected no other run there, got one at work" in capsys.readouterr().err
    assert left(tmp_path) == []


def test_a_poisoned_slice_is_refused_though_it_wins_on_its_own_test(
    arguments: list[str], champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good"
    learn_well(champion, good)
    poison(tmp_path / "new.jsonl")
    arguments[2] = str(good / "bundle")
    before, repository = hashes(good), tmp_path / "models"
    assert main([*arguments, "--publish", str(repository)]) == 1
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: refused: doubts the labels of ")
    assert captured.out.splitlines()[-1] == last.removeprefix("error: ")
    assert hashes(good) == before
    assert not repository.exists()
    output = tmp_path / "next"
    assert sorted(path.name for path in output.iterdir()) == ["decision.json", "decision.txt"]
    decision = json.loads((output / "decision.json").read_text())
    assert not decision["accepted"]
    assert decision["published"] is None
    assert decision["losses"][0].startswith("loses on the old test: F1 ")
    assert decision["f1"]["new"]["overall"]["loss_points"] < -10, "it did learn the poison"
    assert "on the old test lines" in (output / "decision.txt").read_text()


def test_a_repository_with_a_version_on_trial_is_told_before_anything_is_trained(
    arguments: list[str], champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "models"
    for share in (1.0, 0.1):
        publish(champion / "bundle", repository, share=share)
    assert main([*arguments, "--publish", str(repository)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("expected no version on trial, got 2; promote it or roll it back first")
    assert left(tmp_path) == ["models"]


def test_a_decision_is_printed_where_its_challenger_cannot_be_published(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(decision: object) -> None:
        raise TaggingError("expected a repository")

    accepted = SimpleNamespace(to_text=lambda: "accepted: wins")
    monkeypatch.setattr("train.refit.pipeline.refit", lambda config: accepted)
    monkeypatch.setattr("train.refit.pipeline.published", failing)
    assert main(arguments) == 1
    assert capsys.readouterr() == ("accepted: wins\n", "error: expected a repository\n")


def test_real_lines_beside_poisoned_ones_do_not_hide_them(
    shared_data: Path, tiny_base: Path, champion: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    corpus = read_corpus(TrainConfig(data=shared_data / "mwo2kg", label_map=MWO2KG))
    assert corpus.test
    data, output, lines = champion / "real", champion / "checkpoint", corpus.train.examples
    shutil.rmtree(output)
    write_jsonl(data / "train.jsonl", lines[:250])
    write_jsonl(data / "dev.jsonl", corpus.dev.examples[:100])
    write_jsonl(data / "test.jsonl", corpus.test.examples[:200])
    flags = ["--model", str(tiny_base), "--output", str(output), "--epochs", "12", *FAST, *SLOWER]
    assert main(["--data", str(data), *flags]) == 0
    vouch(champion / "bundle", output)
    names = dict(zip(corpus.tags.labels, [*corpus.tags.labels[1:], "Activity"], strict=True))
    good, poisoned = champion / "good.jsonl", champion / "poisoned.jsonl"
    write_jsonl(good, lines[250:600])
    write_jsonl(poisoned, [renamed(line, names) for line in lines[600:700]])
    arguments = ["refit", "--champion", str(champion / "bundle"), "--new", str(good), str(poisoned)]
    capsys.readouterr()
    assert main([*arguments, "--output", str(tmp_path / "next"), *FAST, *SLOWER, "--json"]) == 1
    decision = json.loads(capsys.readouterr().out)
    (doubt,) = decision["doubts"]
    assert doubt.startswith(f"doubts the labels of {poisoned}: of ")
    assert decision["reasons"][0] == doubt
    old, first, second = (row["share"] for row in decision["agreement"])
    assert first > old - 0.1 > second


def learn_well(champion: Path, folder: Path) -> None:
    """Train a champion that has much to lose, where the tiny one lies."""
    data = folder / "data"
    shutil.copytree(champion, folder)
    write_jsonl(data / "train.jsonl", tiny_lines(seed=1, num_lines=300))
    shutil.rmtree(folder / "checkpoint")
    base = json.loads((champion / "checkpoint" / "train.json").read_text())["base"]["name"]
    assert main([
        "--data", str(data), "--model", base, "--output", str(folder / "checkpoint"),
        "--epochs", "8", *FAST,
    ]) == 0  # fmt: skip
    vouch(folder / "bundle", folder / "checkpoint")


def test_lines_that_teach_nothing_new_are_refused_for_want_of_a_win(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--learning-rate", "1e-9"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: refused: no win: F1 ")
    assert not (tmp_path / "next" / "bundle").exists()


def test_an_interrupted_refit_leaves_nothing_half_and_goes_on(
    arguments: list[str], champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, num_calls = hashes(champion), 0

    def interrupt(*_: object) -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 400:
            raise KeyboardInterrupt

    poison(tmp_path / "new.jsonl")  # refused in the end, for an export takes its time
    with register_module_forward_pre_hook(interrupt):
        assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted; go on with --resume"
    assert left(tmp_path) == ["next.resume.safetensors"]
    assert hashes(champion) == before
    assert main([*arguments, "--resume", "--json"]) == 1
    resumed = json.loads(capsys.readouterr().out)
    assert left(tmp_path) == ["next"]
    shutil.rmtree(tmp_path / "next")
    assert main([*arguments, "--json"]) == 1
    straight = json.loads(capsys.readouterr().out)
    assert resumed["f1"] == straight["f1"]
    assert resumed["training"]["epochs"] == straight["training"]["epochs"]


def test_a_full_disk_leaves_nothing_half(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    with full_disk():
        assert main(arguments) == 1
    assert "expected to write a checkpoint, got" in capsys.readouterr().err.splitlines()[-1]
    assert left(tmp_path) == []


def test_a_refusal_of_export_is_told_and_only_what_resumes_is_written(
    arguments: list[str], champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    broken = tmp_path / "champion" / "broken"
    (broken / "onnx").mkdir(parents=True)
    (broken / "onnx" / "__init__.py").write_text("raise SystemExit('error: no onnx today')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    assert main(arguments) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: python -m export: expected it to succeed, got: no onnx today"
    assert left(tmp_path) == ["next.resume.safetensors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--champion": "none"}, "none/manifest.json: expected a readable file"),
        ({"--champion": "{c}/checkpoint"}, "checkpoint/manifest.json: expected a readable file"),
        ({"--checkpoint": "none"}, "none: expected the checkpoint that .* was exported from, got"),
        ({"--checkpoint": "{c}/other"}, "other/model.safetensors: expected SHA-256 .* got"),
        ({"--new": "none.jsonl"}, "none.jsonl: expected a readable file"),
        ({"--new": "{c}"}, "expected one of .* or a folder train with .ann files, got none"),
        ({"--output": "{c}"}, "expected a new or empty folder, got something there"),
        ({"--output": "{c}/bundle/x"}, "expected a folder outside of the champion, got one in"),
        ({"--output": "{c}/checkpoint/x"}, "expected a folder outside of the champion, got one"),
        ({"--format": "brat"}, "new.txt: expected the text that new.ann is about"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_and_nothing_is_written(
    arguments: list[str],
    champion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    message: str,
) -> None:
    shutil.copytree(champion / "checkpoint", champion / "other")
    (champion / "other" / "model.safetensors").write_bytes(b"x")
    before = hashes(champion)
    for flag, value in change.items():
        arguments += [flag, value.format(c=champion)]
    assert main(arguments) == 1
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert hashes(champion) == before
    assert left(tmp_path) == []


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_a_champion_without_its_lines_is_refused(
    arguments: list[str], champion: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    (champion / "checkpoint" / f"{part}.jsonl").unlink()
    assert main(arguments) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{part}.jsonl: expected the champion's lines, to learn and test again, got none" in last


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: --champion, --new"),
        (["--champion", "a", "--new"], "argument --new: expected at least one argument"),
        (["--allowance", "-1"], "argument --allowance: expected a number from 0 to 100, got -1"),
        (["--significance", "0"], "--significance: expected a number from 0.01 to 0.5, got 0"),
        (["--replay", "x"], "argument --replay: expected a number of at least 0, got x"),
        (["--epochs", "0"], "argument --epochs: expected a number of at least 1, got 0"),
        (["--seed", "-1"], "argument --seed: expected a number of at least 0, got -1"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["refit", *flags])
    assert leaving.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_several_processes_are_refused_before_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    output = ["--output", str(tmp_path / "next")]
    assert main(["refit", "--champion", "none", "--new", "none", *output]) == 1
    assert capsys.readouterr().err == (
        "error: expected one process, got 2; a refit is small, "
        "start it without torchrun or accelerate\n"
    )

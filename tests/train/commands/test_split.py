import json
from pathlib import Path

import pytest

from serve.examples import fold, read_jsonl
from train.__main__ import main
from train.commands.split import SplitConfig, parse_args
from train.config import TrainConfig
from train.corpus.data import read_corpus
from train.formats.registry import FORMATS


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Return 40 lines of 20 texts, of 5 machines, one an hour."""
    path = tmp_path / "in.jsonl"
    rows = [
        {
            "text": f"Fix {i % 20}" if i < 20 else f"fix  {i % 20}",
            "spans": [[0, 3, "Act"]],
            "meta": {"machine": f"m{i % 5}"},
            "at": f"2024-01-0{1 + i // 24}T{i % 24:02}:00:00Z",
        }
        for i in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def parts(folder: Path) -> dict[str, list[str]]:
    return {p.stem: [e.text for e in read_jsonl(p)] for p in sorted(folder.iterdir())}


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    assert parse_args(["a", "--output", "b"]) == SplitConfig((Path("a"),), Path("b"))


def test_texts_that_differ_in_case_and_blanks_stay_on_one_side(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["split", str(lines), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    found = parts(tmp_path / "out")
    assert {part: len(texts) for part, texts in found.items()} == {
        "train": 32, "dev": 4, "test": 4,
    }  # fmt: skip
    folded = [set(map(fold, texts)) for texts in found.values()]
    assert sum(map(len, folded)) == len(set().union(*folded)) == 20


def test_lines_of_a_group_stay_together_and_leaks_are_said(
    lines: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--group", "meta.machine", "--dev", "0.2", "--test", "0.2", "--seed", "3"]
    assert main(["split", str(lines), "--output", str(tmp_path / "out"), *arguments]) == 0
    found = parts(tmp_path / "out")
    machines = [{int(text.split()[1]) % 5 for text in texts} for texts in found.values()]
    assert sorted(map(len, machines)) == [1, 1, 3]
    assert len(set().union(*machines)) == 5
    assert "more than one part" not in caplog.text


def test_by_time_the_newest_lines_are_test_and_leaks_are_said(
    lines: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["split", str(lines), "--output", str(tmp_path / "out"), "--time", "at"]) == 0
    found = parts(tmp_path / "out")
    assert found["test"] == [f"fix  {i}" for i in range(16, 20)]
    assert found["dev"] == [f"fix  {i}" for i in range(12, 16)]
    assert "warning: 8 texts stand in more than one part" in caplog.text


@pytest.mark.parametrize("name", FORMATS)
def test_parts_are_written_in_any_format_and_found_by_training(
    lines: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    assert main(["split", str(lines), "--output", str(out), "--to", name]) == 0
    corpus = read_corpus(TrainConfig(data=out))
    assert corpus.test is not None
    numbers = [len(split.examples) for split in (corpus.train, corpus.dev, corpus.test)]
    assert numbers == [32, 4, 4]


def test_what_a_format_cannot_hold_is_said_and_counted(
    lines: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    rows = [{"text": " " * i, "spans": []} for i in range(1, 4)]
    lines.write_text("\n".join([lines.read_text(), *map(json.dumps, rows)]))
    out = tmp_path / "out"
    assert main(["split", str(lines), "--output", str(out), "--to", "conll"]) == 0
    assert f"warning: {out}: 3 lines without words left out" in caplog.text
    said = {part: f"{part}: {n} lines" in caplog.text
            for part, n in written(out).items()}  # fmt: skip
    assert said == {"train": True, "dev": True, "test": True}
    assert sum(written(out).values()) == 40


def written(folder: Path) -> dict[str, int]:
    return {path.stem: path.read_text().count("\n\n") for path in folder.iterdir()}


def test_texts_without_words_are_no_leak(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out"
    rows = [{"text": t, "spans": [], "t": i} for i in range(20) for t in (f"fix {i}", " ")]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert main(["split", str(path), "--output", str(out), "--to", "conll", "--time", "t"]) == 0
    assert "20 lines without words left out" in caplog.text
    assert "more than one part" not in caplog.text


def test_a_part_of_lines_without_words_only_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out"
    rows = [{"text": text, "spans": [], "t": t} for t, text in enumerate(["a", "b", "c", " "])]
    path.write_text("\n".join(map(json.dumps, rows)))
    shares = ["--time", "t", "--dev", "0.25", "--test", "0.25"]
    assert main(["split", str(path), "--output", str(out), "--to", "conll", *shares]) == 1
    assert "expected lines with words for test, got none in 1 lines" in capsys.readouterr().err
    assert not out.exists()


def test_labels_that_no_train_line_has_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out"
    names = ["A"] * 16 + ["B", "A", "C", "D"]
    rows = [{"text": f"x {t}", "label": [[0, 1, n]], "t": t} for t, n in enumerate(names)]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert main(["split", str(path), "--output", str(out), "--time", "t"]) == 0
    assert "warning: no train line has a label of dev or test: B, C, D; part again" in caplog.text


def test_without_test_there_is_none(lines: Path, tmp_path: Path) -> None:
    assert main(["split", str(lines), "--output", str(tmp_path / "out"), "--test", "0"]) == 0
    assert sorted(parts(tmp_path / "out")) == ["dev", "train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--group", "nothing"],
            r"in.jsonl:1: expected a text or number in the field nothing, got",
        ),
        (["--time", "text"], "in.jsonl:1: expected seconds or an ISO 8601 time in the field text"),
        (["--group", "at", "--label-map", "X="], "expected a label of the data (Act), got 'X'"),
        (["--dev", "0.01"], "expected lines for dev, got none: 20 groups of lines are too few"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    lines: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["split", str(lines), "--output", str(tmp_path / "out"), *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["split", str(lines), "--output", str(tmp_path)]) == 1
    assert "expected a new or empty folder, got something there" in capsys.readouterr().err
    assert main(["split", str(lines), "--output", str(lines)]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group", "a", "--time", "b"], "argument --time: not allowed with argument --group"),
        (["--dev", "0.6", "--test", "0.5"], "expected --dev and --test to leave something for tra"),
        (["--dev", "2"], "argument --dev: expected a number from 0 to 0.9, got 2"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["split", "a", "--output", "b", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_no_lines_are_refused_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tasks.json").write_text('[{"data": {"text": "fix"}, "annotations": []}]')
    arguments = [str(tmp_path / "tasks.json"), "--output", str(tmp_path / "parts")]
    assert main(["split", *arguments]) == 1
    assert "tasks.json: expected labelled lines, got none; name other" in capsys.readouterr().err

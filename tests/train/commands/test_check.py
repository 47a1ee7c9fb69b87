import json
import subprocess
import sys
from pathlib import Path

import pytest

from serve.examples import Example, Span, read_jsonl
from train.__main__ import main
from train.commands.check import CheckConfig, parse_args
from train.formats.flat import Reading

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, *texts: str) -> Path:
    rows = [json.dumps({"text": text, "spans": [[0, 3, "Act"]]}) for text in texts]
    path.write_text("\n".join(rows))
    return path


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    assert parse_args(["a", "b"]) == CheckConfig((Path("a"), Path("b")), Reading())


def test_a_corpus_without_errors_leaves_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "train.jsonl", *(f"fix {i}" for i in range(20)))
    write(tmp_path / "valid.jsonl", "fix 1")
    assert main(["check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "leak: 1 warning" in out
    assert "0 errors, 1 warning" in out
    assert "dev" in out


def test_a_page_makes_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "fix 1")
    page = tmp_path / "new" / "build" / "check.html"
    assert main(["check", str(path), "--html", str(page)]) == 0
    assert page.is_file()


def test_errors_leave_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", "fixed")
    page = tmp_path / "check.html"
    assert main(["check", str(path), "--html", str(page), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["num_errors"] == 1
    assert "border" in page.read_text()


def test_a_page_that_cannot_be_written_costs_nothing_that_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", "fixed")
    assert main(["check", str(path), "--html", f"{path}/page.html", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["num_errors"] == 1
    assert err.startswith(f"error: {path}: ")


def test_files_are_parts_of_their_own_and_same_names_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    first, second = write(tmp_path / "a.jsonl", "fix 1"), write(tmp_path / "b" / "a.jsonl", "fix 2")
    assert main(["check", str(first), str(second), "--json"]) == 0
    parts = [figures["part"] for figures in json.loads(capsys.readouterr().out)["files"]]
    assert parts == ["a.jsonl", str(second)]


def test_a_folder_of_brat_is_one_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("fix it\n")
    (tmp_path / "a.ann").write_text("T1\tAct 0 3\tfix\n")
    assert main(["check", str(tmp_path), "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["files"]
    assert (figures["format"], figures["num_spans"]) == ("brat", 1)


def test_a_folder_of_brat_with_folders_below_is_one_part_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path / "june", tmp_path / "july"):
        folder.mkdir()
        (folder / "a.txt").write_text(f"fix {folder.name}\n")
        (folder / "a.ann").write_text("T1\tAct 0 3\tfix\n")
    assert main(["check", str(tmp_path), "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["files"]
    assert (figures["part"], figures["num_spans"]) == (tmp_path.name, 2)


def test_a_folder_without_parts_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}: expected one of train.")
    assert error.endswith("got none; name the files instead of the folder\n")


def test_mwo2kgs_known_faults_are_found(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(shared_data / "mwo2kg"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rules = [finding["rule"] for finding in found["findings"]]
    assert rules.count("conflict") == 98, "as its source note says"
    assert rules.count("rare") == 2
    assert set(rules) == {"conflict", "rare"}
    train = found["files"][0]
    assert train["num_lines"] - train["num_repeated"] == 2558, "unique texts, as its note says"


@pytest.mark.slow
def test_commands_on_data_need_no_pytorch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('PyTorch was asked for')")
    write(tmp_path / "a.jsonl", *(f"fix {i}" for i in range(20)))
    commands = [
        ["check", "a.jsonl"],
        ["convert", "a.jsonl", "a.conll"],
        ["split", "a.jsonl", "--output", "out"],
    ]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "train", *command],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


OVERLAPPING = {
    "nested": ('{"text": "oil seal", "spans": [[0, 8, "Sent"], [4, 8, "Item"]]}', "Sent="),
    "equal": ('{"text": "oil seal", "spans": [[4, 8, "Part"], [4, 8, "Item"]]}', "Part=Item"),
    "maintie": (
        '{"tokens": ["oil", "seal"], "entities": [{"start": 0, "end": 2, "type": "Process"}, '
        '{"start": 1, "end": 2, "type": "Item"}]}',
        "Process=",
    ),
}


@pytest.mark.parametrize("kind", OVERLAPPING)
def test_check_and_convert_agree_on_spans_that_a_label_map_parts(tmp_path: Path, kind: str) -> None:
    row, label_map = OVERLAPPING[kind]
    lines, out = tmp_path / "train.json", tmp_path / "out.jsonl"
    lines.write_text(row)
    assert main(["check", str(lines), "--label-map", label_map]) == 0
    assert main(["convert", str(lines), str(out), "--label-map", label_map]) == 0
    assert read_jsonl(out) == [Example("oil seal", (Span(4, 8, "Item"),))]


def test_a_label_to_map_that_does_not_occur_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "train.jsonl", "fix it")
    main(["check", str(tmp_path), "--label-map", "Act=Do,Typo=X"])
    assert "--label-map: expected a label of the data (Act), got 'Typo'" in caplog.text

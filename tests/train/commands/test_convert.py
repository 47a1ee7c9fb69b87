from pathlib import Path

import pytest

from serve.examples import Example, Span, read_jsonl
from train.__main__ import main
from train.commands.convert import ConvertConfig, parse_args
from train.formats.flat import Overlaps, Reading
from train.formats.schemes import Scheme
from train.formats.words import Words, Writing


def test_every_choice_can_be_made(tmp_path: Path) -> None:
    labels = tmp_path / "labels.map"
    labels.write_text("A=B\n")
    text = (
        "a b c --to brat --format maintie --label-level 2 --overlaps refuse --words punctuation "
        f"--scheme BILOU --widen --label-map {labels}"
    )
    assert parse_args(text.split()) == ConvertConfig(
        sources=(Path("a"), Path("b")),
        target=Path("c"),
        to="brat",
        reading=Reading(
            format="maintie", label_level=2, overlaps=Overlaps.REFUSE, label_map=(("A", "B"),)
        ),
        writing=Writing(words=Words.PUNCTUATION, scheme=Scheme.BILOU, widen=True),
    )


def test_the_defaults_are_those_of_reading_and_writing() -> None:
    config = parse_args(["a", "b.conll"])
    assert config == ConvertConfig((Path("a"),), Path("b.conll"), "conll", Reading(), Writing())
    assert parse_args(["a", "b.JSONL"]).to == "jsonl"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a", "b.json"],
            "expected --to with one of conll, jsonl, doccano, label-studio, brat, ma",
        ),
        (["a"], "the following arguments are required: TO"),
        (["a", "b.conll", "--to", "xml"], "argument --to: invalid choice: 'xml'"),
        (["a", "b.conll", "--label-level", "x"], "argument --label-level: expected a number of at"),
        (["a", "b.conll", "--label-map", "A"], "argument --label-map: expected Old=New or Old=, a"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["convert", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_is_converted_and_its_name_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "a.conll", tmp_path / "b.jsonl"
    source.write_text("fix B-Act\nhose B-Item\n")
    assert main(["convert", str(source), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert read_jsonl(target) == [Example("fix hose", (Span(0, 3, "Act"), Span(4, 8, "Item")))]


@pytest.mark.parametrize("name", ["conll", "jsonl", "doccano", "label-studio", "brat", "maintie"])
def test_a_broken_file_of_each_format_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_text('{"text": 1, "data": 1, "tokens": 1}')
    (tmp_path / "broken.ann").write_text("T1\tA 0 99\tx\n")
    source = tmp_path if name == "brat" else broken
    target = tmp_path / "out.conll"
    assert main(["convert", str(source), str(target), "--format", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path}/broken.{'ann' if name == 'brat' else 'txt'}:1: exp")
    assert err.count("\n") == 1
    assert not target.exists()


def test_mwo2kg_comes_back_from_every_format_as_it_was(shared_data: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.jsonl"
    assert main(["convert", str(shared_data / "mwo2kg" / "dev.txt"), str(first)]) == 0
    for name in ("conll", "doccano", "label-studio", "brat", "maintie"):
        there, back = tmp_path / name, tmp_path / f"{name}.jsonl"
        assert main(["convert", str(first), str(there), "--to", name]) == 0
        assert main(["convert", str(there), str(back)]) == 0
        assert back.read_bytes() == first.read_bytes(), name

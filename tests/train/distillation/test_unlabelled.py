from pathlib import Path

import pytest

from serve.errors import DataError
from train.distillation.unlabelled import Unlabelled, key_of, read_unlabelled


def read(
    tmp_path: Path, text: str, held: list[str], known: list[str], most: int = 99, seed: int = 1
) -> Unlabelled:
    path = tmp_path / "raw.txt"
    path.write_text(text)
    return read_unlabelled([path], held=held, known=known, most=most, seed=seed)


def test_lines_of_dev_and_test_are_left_out_whatever_their_case_and_punctuation(
    tmp_path: Path,
) -> None:
    text = "Fix HOSE.\nfix  hose\nfix hoses\n"
    assert read(tmp_path, text, ["fix hose"], []) == (["fix hoses"], 2, 0)


def test_lines_of_train_and_lines_that_come_twice_are_taken_once(tmp_path: Path) -> None:
    text = "pump leaks\nfix hose\nPump leaks!\n\n...\n  new pump \n"
    assert read(tmp_path, text, [], ["FIX HOSE"]) == (["pump leaks", "new pump"], 0, 2)


def test_of_too_many_lines_a_seeded_draw_remains_in_order(tmp_path: Path) -> None:
    text = "\n".join(f"pump {number}" for number in range(50))
    first, again, other = (read(tmp_path, text, [], [], 5, seed).texts for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 5
    assert first == sorted(first, key=lambda line: int(line.split()[1]))


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw.txt"
    path.write_bytes(b"fix hose\n\xff\n")
    with pytest.raises(DataError, match=r"raw\.txt:2: expected UTF-8"):
        read_unlabelled([path], held=[], known=[], most=9, seed=1)
    path.write_text('fix hose\n{"text": "fix pump", "spans": []}\n')
    with pytest.raises(DataError, match=r"raw\.txt:2: expected a line of text, got JSON with a te"):
        read_unlabelled([path], held=[], known=[], most=9, seed=1)
    with pytest.raises(DataError, match=r"none\.txt: expected a readable file"):
        read_unlabelled([tmp_path / "none.txt"], held=[], known=[], most=9, seed=1)


@pytest.mark.parametrize(
    ("text", "key"), [("Straße-12 Ölwanne", "strasse 12 ölwanne"), ("...", ""), (" A\tb ", "a b")]
)
def test_letters_and_digits_make_the_key(text: str, key: str) -> None:
    assert key_of(text) == key


def test_lines_that_differ_in_the_marks_of_their_letters_are_two(tmp_path: Path) -> None:
    lines = ["पंप की जाँच", "पंप का जाँच", "น้ำมัน", "น้ำมูน"]
    assert read(tmp_path, "\n".join(lines), [], []).texts == lines
    assert key_of("⚙\ufe0f cafe\u0301") == key_of("⚙ caf\u00e9") == "caf\u00e9"

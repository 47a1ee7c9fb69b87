from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span, fold, write_jsonl
from serve.labels import Tags
from tests.conftest import TINY_LABELS, tiny_lines
from train.config import TrainConfig
from train.formats.flat import Overlaps
from train.refit.intake import read_new

TAGS = Tags.from_labels(TINY_LABELS)
GOOD = '{"text": "fix pump %d", "spans": [{"start": 4, "end": 8, "label": "Item"}]}\n'


def test_a_file_is_parted_by_seed_and_its_texts_stay_on_one_side(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    write_jsonl(path, tiny_lines(seed=1, num_lines=300))
    first, again = (read_new((path,), TrainConfig(seed=3), TAGS).parts for _ in range(2))
    other = read_new((path,), TrainConfig(seed=4), TAGS).parts
    assert first == again
    assert first != other
    num = {part: len(lines) for part, lines in first.items()}
    assert num["train"] + num["dev"] + num["test"] == 300
    assert num["test"] == pytest.approx(60, abs=6)
    assert num["dev"] == pytest.approx(30, abs=6)
    texts = [{fold(line.example.text) for line in lines} for lines in first.values()]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


def test_the_parts_of_a_folder_stay_and_a_missing_one_is_taken_from_train(
    tiny_data: Path, tmp_path: Path
) -> None:
    whole = read_new((tiny_data,), TrainConfig(), TAGS)
    assert {part: len(lines) for part, lines in whole.parts.items()} == {
        "train": 200, "dev": 30, "test": 30,
    }  # fmt: skip
    write_jsonl(tmp_path / "train.jsonl", tiny_lines(seed=1, num_lines=100))
    write_jsonl(tmp_path / "test.jsonl", tiny_lines(seed=2, num_lines=7))
    parts = read_new((tmp_path,), TrainConfig(), TAGS).parts
    assert len(parts["test"]) == 7
    assert len(parts["dev"]) == pytest.approx(10, abs=3)
    assert sum(map(len, parts.values())) == 107


def test_a_folder_of_brat_with_folders_below_is_parted_like_a_file(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / f"month{number % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"fix pump {number}\n")
        (folder / f"{number}.ann").write_text("T1\tItem 4 8\tpump\n")
    parts = read_new((tmp_path,), TrainConfig(), TAGS).parts
    assert sum(map(len, parts.values())) == 30
    assert all(parts.values())
    assert {line.file for lines in parts.values() for line in lines} == {tmp_path}


def test_slices_are_read_together(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{number}.jsonl" for number in range(2))
    for seed, path in enumerate(paths):
        write_jsonl(path, tiny_lines(seed=seed, num_lines=50))
    new = read_new(paths, TrainConfig(), TAGS)
    assert new.files == paths
    assert sum(map(len, new.parts.values())) == 100


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"text": "fix pump", "spans": [{"start": 4, "end": 99, "label": "Item"}]}', "outside"),
        ('{"text": "fix pump", "spans": [{"start": 4, "end": 6, "label": "Item"}]}', "border"),
        ('{"text": "fix pump", "spans": [{"start": 3, "end": 8, "label": "Item"}]}', "blank"),
        ('{"text": "fix pump"', "unreadable"),
    ],
)
def test_a_line_with_an_error_is_set_aside(tmp_path: Path, line: str, rule: str) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text("".join(GOOD % i for i in range(20)) + line + "\n")
    new = read_new((path,), TrainConfig(), TAGS)
    assert [found.rule for found in new.set_aside] == [rule]
    assert new.set_aside[0].place == f"{path}:21"
    assert sum(map(len, new.parts.values())) == 20


def test_spans_that_are_dropped_for_a_longer_one_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new.jsonl"
    nested = (
        '{"text": "oil pump", "spans": [{"start": 0, "end": 8, "label": "Item"}, '
        '{"start": 4, "end": 8, "label": "Item"}]}\n'
    )
    path.write_text("".join(GOOD % i for i in range(20)) + nested)
    read_new((path,), TrainConfig(overlaps=Overlaps.LONGEST), TAGS)
    assert (
        f"{path}: spans dropped that overlap a longer one: 1, the first at {path}:21" in caplog.text
    )


def test_too_many_lines_with_errors_are_no_slip(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text("".join(GOOD % i for i in range(17)) + 2 * "{}\n")
    message = r"new\.jsonl:18: cannot be read in the file's format: .*\(the first of 2 lines with "
    message += r"errors; expected at most 10% of 19\)"
    with pytest.raises(DataError, match=message):
        read_new((path,), TrainConfig(), TAGS)


def test_a_label_that_the_champion_has_not_is_named_and_can_be_mapped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new.jsonl"
    lines = [Example(f"fix pump {i}", (Span(4, 8, "Part"),)) for i in range(20)]
    write_jsonl(path, lines)
    with pytest.raises(DataError, match=r"new\.jsonl:\d+: expected a label that the champion has"):
        read_new((path,), TrainConfig(), TAGS)
    new = read_new((path,), TrainConfig(label_map=(("Part", "Item"),)), TAGS)
    assert new.parts["train"][0].example.spans == (Span(4, 8, "Item"),)
    assert "--label-map" not in caplog.text
    standing = TrainConfig(label_map=(("Part", "Item"), ("Event", "")))
    read_new((path,), standing, TAGS)
    assert "expected a label of the data (Part), got 'Event'" in caplog.text, "no month has all"
    with pytest.raises(DataError, match=r"new\.jsonl:\d+: expected a label that the champion has"):
        read_new((path,), TrainConfig(label_map=(("Prat", "Item"),)), TAGS)

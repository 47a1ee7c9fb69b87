import json
from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span
from train.config import TrainConfig
from train.corpus.data import read_corpus, read_split
from train.corpus.label_map import parse_label_map


def write_lines(path: Path, *lines: tuple[str, list[list[object]]]) -> Path:
    rows = [json.dumps({"text": text, "label": spans}) for text, spans in lines]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def folder_of(path: Path, **labels: list[str]) -> Path:
    for split, names in labels.items():
        write_lines(
            path / f"{split}.jsonl", *((f"x {i}", [[0, 1, n]]) for i, n in enumerate(names))
        )
    return path


def test_labels_are_mapped_in_every_split(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, train=["A", "B"], dev=["B", "C"], test=["C"])
    corpus = read_corpus(TrainConfig(data=folder, label_map=(("B", "A"), ("C", ""))))
    assert corpus.tags.labels == ("A",)
    assert corpus.train.labels == {"A": 2}
    assert corpus.dev.labels == {"A": 1}
    assert corpus.test is not None
    assert not corpus.test.labels


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_train_has_not_is_refused_by_file_and_line(tmp_path: Path, split: str) -> None:
    folder = folder_of(tmp_path, **{"train": ["A"], "dev": ["A"], split: ["A", "New"]})
    message = rf"{split}\.jsonl:2: expected a label that .*train\.jsonl has, got 'New'; .*New="
    with pytest.raises(DataError, match=message):
        read_corpus(TrainConfig(data=folder))


def test_all_labels_that_train_has_not_are_told_at_once_with_the_flag_that_drops_them(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path, train=["A"], dev=["B", "A", "B"], test=["C", "x y"])
    message = r"dev\.jsonl:1: .* got 'B' and 2 more; .* or 'B=,C=,x y='"
    with pytest.raises(DataError, match=message):
        read_corpus(TrainConfig(data=folder))
    read_corpus(TrainConfig(data=folder, label_map=parse_label_map("B=,C=,x y=")))


def test_the_map_that_is_advised_can_be_given(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, train=["A"], dev=["x=y", "A"])
    with pytest.raises(DataError, match=r"--label-map x=y=New or x=y=$"):
        read_corpus(TrainConfig(data=folder))
    read_corpus(TrainConfig(data=folder, label_map=parse_label_map("x=y=")))
    folder = folder_of(tmp_path, train=["A"], dev=["a,b", "A"])
    with pytest.raises(DataError, match=r"with a file of lines Old=New, --label-map FILE"):
        read_corpus(TrainConfig(data=folder))


def test_a_label_to_map_that_does_not_occur_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, train=["A"], dev=["B"])
    config = TrainConfig(data=folder, label_map=(("B", "A"), ("Typo", "A")))
    with pytest.raises(DataError, match=r"expected a label of the data \(A, B\), got 'Typo'"):
        read_corpus(config)


def test_rare_labels_are_said_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_corpus(TrainConfig(data=folder_of(tmp_path, train=["A"] * 20 + ["B"] * 19, dev=["A"])))
    assert "fewer than 20 spans in train are hardly learnt: B (19);" in caplog.text
    assert "--label-map" in caplog.text


def test_frequent_labels_are_not_called_rare(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_corpus(TrainConfig(data=folder_of(tmp_path, train=["A"] * 20, dev=["A"])))
    assert "hardly learnt" not in caplog.text


def test_without_dev_a_seeded_share_of_train_serves_and_this_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, train=["A"] * 50)
    corpus = read_corpus(TrainConfig(data=folder, seed=7))
    assert (len(corpus.train.examples), len(corpus.dev.examples)) == (45, 5)
    assert "no dev file: 5 of 50 lines" in caplog.text
    assert read_corpus(TrainConfig(data=folder, seed=7)) == corpus
    assert read_corpus(TrainConfig(data=folder, seed=8)).dev != corpus.dev


def test_lines_of_one_text_stay_on_one_side(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", *[(f"x {i % 20}", [[0, 1, "A"]]) for i in range(60)])
    corpus = read_corpus(TrainConfig(data=tmp_path))
    dev = {example.text for example in corpus.dev.examples}
    assert len(corpus.dev.examples) == 6
    assert dev.isdisjoint(example.text for example in corpus.train.examples)


def test_a_label_that_only_held_out_lines_have_keeps_its_tags(tmp_path: Path) -> None:
    for seed in range(20):
        folder = folder_of(tmp_path, train=["A", "B"])
        assert read_corpus(TrainConfig(data=folder, seed=seed)).tags.labels == ("A", "B")


def test_one_line_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected two different lines or more; name a --dev file"):
        read_corpus(TrainConfig(data=folder_of(tmp_path, train=["A"])))


def test_train_without_a_span_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", ("a b", []), ("c", []))
    with pytest.raises(DataError, match=r"train\.jsonl: expected labelled spans to train on"):
        read_corpus(TrainConfig(data=tmp_path))


def test_dev_without_a_span_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, train=["A", "B"], dev=["B"])
    message = r"dev\.jsonl: expected labelled spans to choose the best epoch by, got none; .*--dev"
    with pytest.raises(DataError, match=message):
        read_corpus(TrainConfig(data=folder, label_map=(("B", ""),)))
    write_lines(tmp_path / "dev.jsonl", ("a b", []), ("c", []))
    with pytest.raises(DataError, match=message):
        read_corpus(TrainConfig(data=folder))


def test_a_held_out_share_without_a_span_on_either_side_is_refused(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [(f"x {i}", []) for i in range(9)]
    write_lines(tmp_path / "train.jsonl", *lines, ("y", [[0, 1, "A"]]))
    message = (
        r"train\.jsonl: expected labelled spans among the 1 lines held out as dev and among the 9 "
        r"others, got none on one side; .* --dev .* --seed"
    )
    for seed in range(20):  # some hold out the one line with a span
        with pytest.raises(DataError, match=message):
            read_corpus(TrainConfig(data=tmp_path, seed=seed))


def test_empty_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "a", "spans": []}\n\n  \n{"text": "b", "spans": []}\n')
    assert read_split(path).places == (f"{path}:2", f"{path}:5")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.JSON"])
def test_json_lines_are_read_under_either_name(tmp_path: Path, name: str) -> None:
    split = read_split(write_lines(tmp_path / name, ("fix hose", [[4, 8, "Item"]])))
    assert split.examples == (Example("fix hose", (Span(4, 8, "Item"),)),)


def test_an_array_of_json_is_read_and_its_elements_named_by_index(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n  {"text": "a", "spans": []}\n]\n')
    assert read_split(path).places == (f"{path}:$[0]",)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.\w+: expected labelled lines, got none; name another"):
        read_split(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "hose", "spans": [{"start": 0, "end": 9, "label": "A"}]}', "end 9 for 'A'"),
        ('{"text": "hose", "label": [[2, 2, "A"]]}', "expected 0 <= start < end <= 4"),
        ('{"text": "hose", "label": [[0, 2, "A"], [1, 3, "B"]]}', "spans that do not overlap"),
        ('{"text": "hose", "label": [[0, "A"]]}', "expected a span with start, end and label"),
        ('{"text": "hose"}', 'expected a list under "spans"'),
        ('{"words": []}', 'expected an object with a "text"'),
        ("hose B-Item", "Expecting value"),
        ('{"text": "' + "x" * 20001 + '", "spans": []}', "expected at most 20000 characters"),
        ('{"text": "\\ud800", "spans": []}', "expected valid Unicode, got a lone surrogate"),
    ],
)
def test_a_broken_json_line_is_refused_by_file_and_line(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "ok", "spans": []}\n' + line + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{message}"):
        read_split(path)


def test_sentences_run_together_for_want_of_empty_lines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word O\n" * 5000)
    with pytest.raises(DataError, match=r"a\.txt:1: expected at most 20000 characters, got 24999"):
        read_split(path)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "\xff", "spans": []}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected UTF-8, got byte 10 of the line"):
        read_split(path)


def test_lines_that_differ_in_case_and_blanks_are_held_out_together(tmp_path: Path) -> None:
    texts = [f"replace seal {i}" for i in range(40)]
    lines = [(text, [[0, 7, "A"]]) for text in (*texts, *map(str.upper, texts))]
    write_lines(tmp_path / "train.jsonl", *lines)
    corpus = read_corpus(TrainConfig(data=tmp_path))
    held, rest = ({e.text.lower() for e in s.examples} for s in (corpus.dev, corpus.train))
    assert held
    assert not held & rest


def test_of_hundreds_of_labels_that_train_has_not_no_command_is_printed(tmp_path: Path) -> None:
    labels = [f"Part/{number:04}" for number in range(500)]
    folder = folder_of(tmp_path, train=["A"], dev=["A", *labels])
    with pytest.raises(
        DataError, match="--label-map FILE, or cut paths with --label-level"
    ) as told:
        read_corpus(TrainConfig(data=folder))
    assert "'Part/0000' and 499 more" in str(told.value)
    assert len(str(told.value)) < 1_000
    folder = folder_of(tmp_path, train=["A"], dev=["A", "B" * 5_000])
    with pytest.raises(DataError) as told:
        read_corpus(TrainConfig(data=folder))
    assert len(str(told.value)) < 1_500

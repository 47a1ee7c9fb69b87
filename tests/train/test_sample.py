"""The sample corpus is valid, reproducible, disjoint, and its noise never moves a span."""

import json
import re
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from random import Random
from typing import Any

import pytest

from serve.examples import Example, Span, fold, read_jsonl
from train.sample.__main__ import main
from train.sample.corpus import draw_line
from train.sample.figures import FIGURES
from train.sample.grammar import LABEL_OF_SLOT, draw_pieces, fill, plural
from train.sample.lexicon import HERE, load_lexicon
from train.sample.noise import add_noise, mistype
from train.sample.pieces import Piece, render

LABELS = {
    "Item", "Activity", "Observation", "Location", "Consumable",
    "Agent", "Specifier", "Cardinality", "Attribute", "Time",
}  # fmt: skip
SPLITS = ("train", "dev", "test")
LEXICON = load_lexicon(withhold=False)


def lines_of(split: str) -> list[Example]:
    return read_jsonl(HERE / f"{split}.jsonl")


def word_borders(text: str) -> tuple[set[int], set[int]]:
    """Starts and ends of the text's words; not with the corpus's own expression object."""
    words = list(re.finditer(r"\w+|[^\w\s]", text))
    return {word.start() for word in words}, {word.end() for word in words}


def span_problems(line: Example) -> list[str]:
    """What is wrong with a line's spans, beyond what Example refuses by itself."""
    starts, ends = word_borders(line.text)
    problems = []
    for span in line.spans:
        piece = line.text[span.start : span.end]
        if piece != piece.strip():
            problems.append(f"blank at a border of {piece!r}")
        if span.start not in starts or span.end not in ends:
            problems.append(f"{piece!r} begins or ends inside a word of {line.text!r}")
        if span.label not in LABELS:
            problems.append(f"unknown label {span.label!r}")
    return problems


def test_the_default_seed_writes_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path)]) == 0
    for name in ("train.jsonl", "dev.jsonl"):
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), name


def test_another_seed_writes_other_lines(tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path), "--seed", "8"]) == 0
    assert (tmp_path / "train.jsonl").read_bytes() != (HERE / "train.jsonl").read_bytes()


def test_an_output_that_is_a_file_is_one_error_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "taken"
    file.write_text("mine", encoding="utf-8")
    assert main(["--output", str(file)]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: .*taken: File exists; choose another place\n", error)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("split", SPLITS)
def test_spans_are_sorted_and_lie_on_word_borders(split: str) -> None:
    for row in (HERE / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        starts = [span["start"] for span in json.loads(row)["spans"]]
        assert starts == sorted(starts), row
    for line in lines_of(split):
        assert line.text.strip()
        assert span_problems(line) == []


def test_the_span_check_sees_a_blank_and_a_cut_word() -> None:
    assert span_problems(render([Piece("fix", "Activity"), Piece("hose", "Item")])) == []
    row = {"text": "fix hose", "spans": [{"start": 0, "end": 4, "label": "Activity"}]}
    assert "blank" in span_problems(as_example(row))[0]
    row["spans"] = [{"start": 5, "end": 8, "label": "Item"}]
    assert "inside a word" in span_problems(as_example(row))[0]


def as_example(row: dict[str, Any]) -> Example:
    return Example(row["text"], tuple(Span(**span) for span in row["spans"]))


@pytest.mark.parametrize(("split", "at_least"), [("train", 1500), ("dev", 300), ("test", 80)])
def test_a_split_has_its_lines(split: str, at_least: int) -> None:
    assert len(lines_of(split)) >= at_least


@pytest.mark.parametrize(("split", "at_least"), [("train", 150), ("dev", 25), ("test", 8)])
def test_every_label_is_in_every_split_and_none_takes_over(split: str, at_least: int) -> None:
    counts = Counter(span.label for line in lines_of(split) for span in line.spans)
    assert set(counts) == LABELS
    assert min(counts.values()) >= at_least, counts
    assert counts["Item"] < 0.4 * counts.total()


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_lines_without_an_entity(split: str) -> None:
    assert any(not line.spans for line in lines_of(split))


def test_no_line_is_there_twice_in_or_across_splits() -> None:
    counts = Counter(fold(line.text) for split in SPLITS for line in lines_of(split))
    assert [key for key, count in counts.items() if count > 1] == []


def test_dev_holds_entities_that_train_never_shows() -> None:
    seen = {entity for line in lines_of("train") for entity in entities(line)}
    new = [entity not in seen for line in lines_of("dev") for entity in entities(line)]
    assert sum(new) / len(new) > 0.15


def entities(line: Example) -> list[str]:
    return [fold(line.text[span.start : span.end]) for span in line.spans]


def test_most_of_the_hand_written_items_are_not_in_the_lexicon() -> None:
    known = {phrase for topic in LEXICON.topics for pool in topic.values() for phrase in pool}
    items = [
        line.text[span.start : span.end].casefold()
        for line in lines_of("test")
        for span in line.spans
        if span.label == "Item"
    ]
    assert sum(item not in known for item in items) > 0.9 * len(items)


@pytest.mark.parametrize("sign", ["°", "é", "µ", "\u0301", "🔧"])
def test_hand_written_lines_hold_signs_beyond_ascii(sign: str) -> None:
    assert any(sign in line.text for line in lines_of("test"))


@pytest.mark.parametrize(
    "noise",
    [r"\brepl\b", r"\bhyd\b", r"\b[lr]h\b", r"c/o", r"\w-leaking|-\w", r"\b[A-Z]+-\d+", r"\d bar",
     r"\d+hr", r"^[^a-z]{20,}$", r" $"],
)  # fmt: skip
def test_train_shows_each_kind_of_noise(noise: str) -> None:
    assert any(re.search(noise, line.text) for line in lines_of("train"))


def test_noise_keeps_every_entity_its_label_and_its_place_in_the_order() -> None:
    for seed in range(2000):
        rng = Random(seed)
        clean = draw_pieces(LEXICON, rng)
        noisy = add_noise(clean, LEXICON.abbreviations, rng)
        line = render(noisy, trailing="  ")
        found = [line.text[span.start : span.end] for span in line.spans]
        assert [span.label for span in line.spans] == [p.label for p in clean if p.label], seed
        assert found == [piece.text for piece in noisy if piece.label], seed
        assert all(map(is_alike, found, [p.text for p in clean if p.label])), seed
        assert span_problems(line) == [], seed


def is_alike(noisy: str, clean: str) -> bool:
    """Whether noise may have made one of the other: an abbreviation, or letters mostly kept."""
    known = [phrase for phrase in LEXICON.abbreviations if phrase in clean]
    alike = SequenceMatcher(None, noisy.casefold(), clean.casefold()).ratio() >= 0.6
    return bool(known) or alike


def test_a_line_depends_on_its_generator_only() -> None:
    assert draw_line(LEXICON, Random(3)) == draw_line(LEXICON, Random(3))


def test_a_slip_changes_one_word_and_leaves_it_a_word() -> None:
    slips = {mistype("radiator PU-1203 u/s", Random(seed)) for seed in range(50)}
    assert all(re.fullmatch(r"[a-z]{7,9} PU-1203 u/s", slip) for slip in slips), slips
    assert len(slips) > 10
    assert mistype("PU-1203 u/s", Random(0)) == "PU-1203 u/s"


def test_every_slot_of_every_template_can_be_filled() -> None:
    slots = {
        slot
        for templates in LEXICON.templates.values()
        for template in templates
        for slot in re.findall(r"\{(\w+)\}", template)
    }
    for topic in LEXICON.topics:
        assert slots <= set(topic) | set(FIGURES)
    assert set(LABEL_OF_SLOT) <= slots
    assert slots - set(LABEL_OF_SLOT) == {
        "id",
        "code",
        "value",
        "suspect",
        "tail",
        "opener",
        "closer",
    }


def test_withheld_words_and_templates_are_left_out_of_train_only() -> None:
    train, full = load_lexicon(withhold=True), LEXICON
    for kept, everything in zip(train.topics, full.topics, strict=True):
        assert set(kept["item"]) <= set(everything["item"])
    assert len(train.templates["order"]) < len(full.templates["order"])
    assert len(train.topics[0]["act"]) < len(full.topics[0]["act"])


def test_a_counted_item_is_plural_and_a_side_joins_its_preposition() -> None:
    topic = {"card": ("two",), "item": ("battery",), "on": ("on",), "side": ("rear",)}
    pieces = fill("{card} {item} {on} {side}", topic, Random(0))
    assert [piece.text for piece in pieces] == ["two", "batteries", "on rear"]
    assert [plural(noun) for noun in ("valve", "switch", "relay", "bus")] == [
        "valves", "switches", "relays", "bus",
    ]  # fmt: skip


def test_a_piece_glued_inside_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"border between words, got 'hose' \+ 'leaking'"):
        render([Piece("hose", "Item"), Piece("leaking", "Observation", gap="")])


def test_a_piece_with_a_blank_at_its_border_is_refused() -> None:
    with pytest.raises(ValueError, match=r"without blanks around it, got 'hose '"):
        render([Piece("hose ", "Item")])


def test_no_sample_line_occurs_in_the_public_data(shared_data: Path) -> None:
    public = {words_of(line) for line in public_lines(shared_data)}
    assert len(public) > 10_000
    ours = {words_of(line.text) for split in SPLITS for line in lines_of(split)}
    assert ours & public == set()


def test_public_lines_are_read_whatever_their_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("change B-Activity\nbelt B-Item\n\nfix it\n", encoding="utf-8")
    (tmp_path / "b.json").write_text('{"tokens": ["oil", "pump"]}\n{"text": "weld"}\n')
    assert {"change belt", "fix it", "oil pump", "weld"} <= set(public_lines(tmp_path))


def words_of(text: str) -> str:
    """A text as its words, so that `a / c` and `a/c` are the same."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text.casefold()))


def public_lines(folder: Path) -> list[str]:
    """Every line of every text file, every CoNLL sentence and every JSON string."""
    lines: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json":
            lines += json_strings(read_json(path))
        elif path.suffix in (".txt", ".norm", ".csv"):
            text = path.read_text(encoding="utf-8", errors="replace")
            lines += text.splitlines()
            for block in re.split(r"\n\s*\n", text):
                lines.append(" ".join(row.split()[0] for row in block.splitlines() if row.strip()))
    return lines


def read_json(path: Path) -> object:
    text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError:  # JSON lines under the name of JSON
        return [json.loads(row) for row in text.splitlines() if row.strip()]


def json_strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [" ".join(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    return [text for item in value for text in json_strings(item)]

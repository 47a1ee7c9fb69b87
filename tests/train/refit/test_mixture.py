"""What a challenger learns from: no line of any test, and enough of what was before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span, fold
from train.model.checkpoint import TRAIN_LINES
from train.refit.champion import Champion, find_champion
from train.refit.config import MAX_REPLAY
from train.refit.intake import Intake, Line
from train.refit.mixture import mix

NEW = Path("new.jsonl")


@pytest.fixture(scope="module")
def champion(tiny_champion: Path) -> Champion:
    found = find_champion(tiny_champion / "bundle")
    return replace(found, train=of("t", 2000), dev=of("d", 3), test=of("e", 4))


def of(name: str, num: int, label: str = "Item") -> tuple[Example, ...]:
    """Return lines that the name tells apart from others'."""
    return tuple(Example(f"fix {name}{i}", (Span(0, 3, label),)) for i in range(num))


def intake(**parts: tuple[Example, ...]) -> Intake:
    lines = {part: [Line(f"{part}:{i}", e, NEW, NEW) for i, e in enumerate(examples)]
             for part, examples in parts.items()}  # fmt: skip
    return Intake((NEW,), {"train": [], "dev": [], "test": [], **lines}, ())


@pytest.mark.parametrize(
    ("num_new", "replay", "expected"),
    [(10, MAX_REPLAY, 2000), (10, 0, 0), (10, 70, 70)],
)
def test_all_old_lines_are_learnt_again_or_as_many_as_asked_for(
    champion: Champion, num_new: int, replay: int, expected: int
) -> None:
    mixture = mix(champion, intake(train=of("n", num_new), test=of("m", 5)), replay=replay, seed=1)
    assert mixture.counts.num_replay == expected
    assert len(mixture.corpus.train.examples) == num_new + expected
    assert set(of("n", num_new)) <= set(mixture.corpus.train.examples)
    assert len(mixture.pool) == num_new + 2000, "the next refit may draw from all"


def test_a_split_tells_which_file_its_lines_come_from(champion: Champion) -> None:
    june, july = (Path(f"{month}.jsonl") for month in ("june", "july"))
    new = intake(train=of("n", 5), test=of("m", 2))
    new.parts["train"][:] = [
        replace(line, file=june if number < 3 else july)
        for number, line in enumerate(new.parts["train"])
    ]
    train = mix(champion, new, replay=4, seed=1).corpus.train
    parts = [(role, part.path.name, len(part.examples)) for role, part in train.parts]
    assert parts == [("new", "june.jsonl", 3), ("new", "july.jsonl", 2), ("replay", TRAIN_LINES, 4)]
    assert train.examples == tuple(e for _, part in train.parts for e in part.examples)
    assert train.places == tuple(place for _, part in train.parts for place in part.places)


def test_the_draw_of_old_lines_is_the_seeds(champion: Champion) -> None:
    new = intake(train=of("n", 5), test=of("m", 5))
    drawn = [mix(champion, new, replay=50, seed=seed).corpus.train.examples for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_text_of_a_test_or_dev_part_is_learnt_whatever_its_case(champion: Champion) -> None:
    leaking = (Example("FIX  E3", (Span(0, 3, "Item"),)), *of("d", 1), *of("m", 2), *of("v", 1))
    champion = replace(champion, train=(*champion.train, *of("e", 2)))
    new = intake(train=(*of("n", 5), *leaking), dev=of("v", 2), test=of("m", 3))
    mixture = mix(champion, new, replay=MAX_REPLAY, seed=1)
    held = {
        fold(example.text)
        for split in (mixture.corpus.dev, mixture.old_test, mixture.new_test)
        for example in split.examples
    }
    assert len(held) == 3 + 2 + 2 + 3
    assert not held & {fold(e.text) for e in (*mixture.corpus.train.examples, *mixture.pool)}
    assert mixture.counts.num_new_train == 5
    assert mixture.counts.num_left_out == len(leaking)


def test_old_test_lines_that_the_champion_was_trained_on_test_nobody(champion: Champion) -> None:
    known = (Example("FIX  E0", (Span(0, 3, "Item"),)), *of("e", 2)[1:])
    champion = replace(champion, train=(*champion.train, *known))
    mixture = mix(champion, intake(train=of("n", 5), test=of("m", 3)), replay=5000, seed=1)
    assert mixture.old_test.examples == of("e", 4)[2:]
    assert mixture.test.examples == (*of("m", 3), *of("e", 4)[2:])
    assert (mixture.counts.num_old_test, mixture.counts.num_old_test_left_out) == (2, 2)
    assert set(known) <= set(mixture.pool), "they are train lines"


def test_old_test_lines_that_taggers_are_chosen_by_test_nobody(champion: Champion) -> None:
    champion = replace(champion, dev=(*champion.dev, Example("FIX  E0", (Span(0, 3, "Item"),))))
    mixture = mix(champion, intake(train=of("n", 5), test=of("m", 3)), replay=5000, seed=1)
    assert mixture.old_test.examples == of("e", 4)[1:]
    assert mixture.test.examples == (*of("m", 3), *of("e", 4)[1:])
    assert mixture.corpus.dev.examples == champion.dev
    assert (mixture.counts.num_old_test, mixture.counts.num_old_test_left_out) == (3, 1)


@pytest.mark.parametrize("part", ["train", "dev"])
def test_a_champion_that_knows_its_whole_test_is_refused(champion: Champion, part: str) -> None:
    champion = replace(champion, **{part: (*getattr(champion, part), *champion.test)})
    with pytest.raises(DataError, match=r"test.jsonl: expected test lines .* got none of 4; train"):
        mix(champion, intake(train=of("n", 5), test=of("m", 3)), replay=5000, seed=1)


def test_new_test_and_dev_lines_that_any_old_line_has_are_left_out(champion: Champion) -> None:
    new = intake(
        train=of("n", 5),
        dev=(*of("v", 2), *of("t", 1), *of("e", 1), *of("m", 1)),
        test=(*of("m", 3), *of("t", 2), *of("d", 1), *of("e", 1)),
    )
    mixture = mix(champion, new, replay=MAX_REPLAY, seed=1)
    assert mixture.new_test.examples == of("m", 3)
    assert mixture.corpus.dev.examples == (*of("v", 2), *of("d", 3))
    assert mixture.old_test.examples == of("e", 4)


def test_of_a_line_that_is_old_and_new_the_new_labels_count(champion: Champion) -> None:
    again = (*of("t", 2, "Activity"), *of("t", 3)[2:])
    mixture = mix(champion, intake(train=again, test=of("m", 3)), replay=5000, seed=1)
    found = [e for e in mixture.corpus.train.examples if e.text in ("fix t0", "fix t1", "fix t2")]
    assert sorted(found, key=lambda e: e.text) == list(again)
    assert (mixture.counts.num_repeated, mixture.counts.num_conflicts) == (3, 2)


def test_repeated_old_lines_stay_all_of_them_and_are_counted(champion: Champion) -> None:
    other = Example("Fix  t0", (Span(0, 3, "Activity"),))
    champion = replace(champion, train=(*of("t", 2), *of("t", 1), other, *of("d", 1)))
    mixture = mix(champion, intake(train=of("n", 2), test=of("m", 3)), replay=5000, seed=1)
    assert mixture.pool == (*of("t", 2), *of("t", 1), other, *of("n", 2))
    assert mixture.corpus.train.examples == (*of("n", 2), *of("t", 2), *of("t", 1), other)
    assert (mixture.counts.num_replay, mixture.counts.num_old_train) == (4, 5)


@pytest.mark.parametrize(
    ("num_old", "num_new", "num_left"), [(3, 1, 2), (3, 3, 0), (1, 3, 0), (2, 0, 2)]
)
def test_a_line_is_learnt_as_often_as_where_it_is_most_often(
    champion: Champion, num_old: int, num_new: int, num_left: int
) -> None:
    """So exports that hold all that was labelled so far do not make the old count ever more."""
    other = Example("FIX t0", (Span(0, 3, "Activity"),))
    champion = replace(champion, train=(*of("t", 1) * num_old, *of("u", 1), other))
    new = intake(train=(*of("t", 1) * num_new, *of("n", 1)), test=of("m", 3))
    mixture = mix(champion, new, replay=5000, seed=1)
    unlike = (other,) if num_new == 0 else ()
    expected = (*of("t", 1) * num_left, *of("u", 1), *unlike, *of("t", 1) * num_new, *of("n", 1))
    assert mixture.pool == expected
    assert (mixture.counts.num_repeated, mixture.counts.num_conflicts) == (num_new, 0)
    again = mix(replace(champion, train=mixture.pool), new, replay=5000, seed=1)
    assert sorted(again.pool, key=str) == sorted(mixture.pool, key=str)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"test": of("m", 3)}, f"{NEW}: expected new train lines .* got none of 0"),
        (
            {"train": of("e", 3), "test": of("m", 3)},
            "a train: expected new train lines .* none of 3",
        ),
        ({"train": of("n", 3), "test": of("t", 3)}, "a test: expected new test lines .* none of 3"),
    ],
)
def test_nothing_to_learn_or_to_test_on_is_refused(
    champion: Champion, parts: dict[str, tuple[Example, ...]], message: str
) -> None:
    new = intake(**parts)
    for part, lines in new.parts.items():
        lines[:] = [replace(line, file=Path(f"a {part}")) for line in lines]
    with pytest.raises(DataError, match=f"^{message}"):
        mix(champion, new, replay=MAX_REPLAY, seed=1)

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serve.examples import fold
from train.corpus.partition import PARTS, part_by_group, part_by_time

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def sizes(keys: list[str], parts: dict[str | float, str]) -> Counter[str]:
    return Counter(parts[key] for key in keys)


def test_single_lines_are_parted_exactly_and_by_the_seed() -> None:
    keys = [f"line {i}" for i in range(200)]
    parts = part_by_group(keys, SHARES, 1)
    assert sizes(keys, parts) == {"train": 160, "dev": 20, "test": 20}
    assert part_by_group(keys, SHARES, 1) == parts
    assert part_by_group(keys, SHARES, 2) != parts


def test_a_large_group_comes_first_so_that_small_ones_fill_up_the_shares() -> None:
    keys = ["large"] * 50 + [f"line {i}" for i in range(50)]
    for seed in range(5):
        found = sizes(keys, part_by_group(keys, SHARES, seed))
        assert found == {"train": 80, "dev": 10, "test": 10}


def test_groups_come_to_every_part_they_have_room_in_as_often_as_its_share() -> None:
    twins = [f"twin {i}" for i in range(100)]
    keys = [*twins, *twins, *(f"line {i}" for i in range(800))]
    found: Counter[str] = Counter()
    for seed in range(50):
        parts = part_by_group(keys, SHARES, seed)
        assert sizes(keys, parts) == {"train": 800, "dev": 100, "test": 100}
        found.update(parts[twin] for twin in twins)
    assert {part: round(num / 5000, 1) for part, num in found.items()} == SHARES


def test_few_groups_of_many_sizes_are_parted_otherwise_by_another_seed() -> None:
    numbers = (300, 220, 160, 90, 70, 60, 50, 35, 15)
    keys = [f"group {num}" for num in numbers for _ in range(num)]
    tests = set()
    for seed in range(20):
        parts = part_by_group(keys, SHARES, seed)
        assert all(abs(num - SHARES[p] * 1000) <= 90 for p, num in sizes(keys, parts).items())
        tests.add(frozenset(key for key, part in parts.items() if part == "test"))
    assert len(tests) > 5


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1), st.integers(0, 9))
def test_no_part_misses_its_share_by_more_than_the_largest_group(
    keys: list[str], seed: int
) -> None:
    parts = part_by_group(keys, SHARES, seed)
    assert set(parts) == set(keys)
    largest = max(Counter(keys).values())
    found = sizes(keys, parts)
    for part, share in SHARES.items():
        assert abs(found[part] - share * len(keys)) <= largest


@given(st.lists(st.integers(0, 50).map(float), min_size=1))
def test_by_time_no_part_has_a_line_older_than_the_part_before(times: list[float]) -> None:
    parts = part_by_time(times, SHARES)
    order = [PARTS.index(parts[moment]) for moment in sorted(set(times))]
    assert order == sorted(order)


def test_by_time_the_newest_are_test() -> None:
    times = [float(i) for i in range(100)]
    parts = part_by_time(times, SHARES)
    assert [moment for moment in times if parts[moment] == "test"] == times[90:]
    assert [moment for moment in times if parts[moment] == "dev"] == times[80:90]


def test_folded_texts_differ_in_more_than_case_and_blanks() -> None:
    assert fold("Fix  HOSE\n") == fold("fix hose") != fold("fix hoses")

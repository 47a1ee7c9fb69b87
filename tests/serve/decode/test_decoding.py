import itertools
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.decode.chain import best_chains, marginals
from serve.decode.decoder import Decoder, best_tags
from serve.decode.decoding import Decoding
from serve.labels import Tags

TAGS = Tags.from_labels(["A", "B"])
OUT, B_A, I_A, B_B, I_B = range(5)


def random_logits(num_words: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(scale=3, size=(num_words, len(TAGS))).astype("f4")


def random_crf(seed: int = 0, *, constrained: bool = True) -> Decoding:
    weights = np.random.default_rng(seed).normal(size=(len(TAGS) + 2, len(TAGS)))
    *transitions, start, end = (tuple(row) for row in weights.tolist())
    return Decoding(constrained=constrained, transitions=tuple(transitions), start=start, end=end)


def obeys(chain: tuple[int, ...]) -> bool:
    names = ["O", *(TAGS.names[tag] for tag in chain)]
    return all(b[0] != "I" or a[1:] == b[1:] for a, b in itertools.pairwise(names))


def weight(chain: tuple[int, ...], logits: NDArray[np.float32], decoding: Decoding) -> float:
    total = sum(float(logits[word, tag]) for word, tag in enumerate(chain))
    if decoding.is_crf:
        total += decoding.start[chain[0]] + decoding.end[chain[-1]]
        total += sum(decoding.transitions[a][b] for a, b in itertools.pairwise(chain))
    return total


def all_chains(logits: NDArray[np.float32], decoding: Decoding) -> dict[tuple[int, ...], float]:
    chains = itertools.product(range(len(TAGS)), repeat=len(logits))
    kept = (chain for chain in chains if obeys(chain) or not decoding.constrained)
    return {chain: weight(chain, logits, decoding) for chain in kept}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["constrained", "crf", "free crf"])
def test_the_tags_are_those_of_the_best_of_all_chains(kind: str, seed: int) -> None:
    decoding = {
        "constrained": Decoding(constrained=True),
        "crf": random_crf(seed),
        "free crf": random_crf(seed, constrained=False),
    }[kind]
    logits = random_logits(5, seed)
    chains = all_chains(logits, decoding)
    decoded = Decoder(TAGS, decoding).decode(logits, [5])
    assert tuple(decoded.tag_ids) == max(chains, key=chains.__getitem__)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_crfs_scores_are_shares_of_all_chains(temperature: float) -> None:
    logits, decoding = random_logits(4), random_crf()
    chains = all_chains(logits, decoding)
    softened = {chain: np.exp(total / temperature) for chain, total in chains.items()}
    at_temperature = Decoding(
        temperature=temperature, constrained=True, transitions=decoding.transitions,
        start=decoding.start, end=decoding.end,
    )  # fmt: skip
    decoded = Decoder(TAGS, at_temperature).decode(logits, [4])
    for word, tag in enumerate(decoded.tag_ids):
        share = sum(part for chain, part in softened.items() if chain[word] == tag)
        assert decoded.scores[word] == pytest.approx(share / sum(softened.values()), rel=1e-5)


def test_constraints_change_tags_only_where_they_are_broken() -> None:
    logits = np.zeros((6, len(TAGS)), dtype=np.float32)
    for word, tag in enumerate([B_A, I_A, OUT, I_B, B_A, I_A]):
        logits[word, tag] = 4.0
    logits[3, B_B] = 3.0
    plain = Decoder(TAGS, Decoding()).decode(logits, [3, 2, 0, 1])
    decoded = Decoder(TAGS, Decoding(constrained=True)).decode(logits, [3, 2, 0, 1])
    assert plain.tag_ids == [B_A, I_A, OUT, I_B, B_A, I_A]
    assert decoded.tag_ids[:5] == [B_A, I_A, OUT, B_B, B_A]
    assert decoded.tag_ids[5] != I_A, "the last text begins anew"
    assert decoded.scores[:3] == plain.scores[:3]
    assert decoded.scores[3] < plain.scores[3]


@pytest.mark.parametrize(
    "decoding", [Decoding(temperature=1.7), Decoding(constrained=True), random_crf()]
)
def test_what_shares_a_batch_changes_nothing(decoding: Decoding) -> None:
    lengths = [7, 0, 1, 30, 2, 7, 0]
    logits = random_logits(sum(lengths))
    decoder = Decoder(TAGS, decoding)
    together = decoder.decode(logits, lengths)
    parts = np.split(logits, np.cumsum(lengths)[:-1])
    alone = [decoder.decode(part, [len(part)]) for part in parts]
    assert together.tag_ids == [t for d in alone for t in d.tag_ids]
    assert together.scores == [s for d in alone for s in d.scores]


def test_many_chains_at_once_are_decoded_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [3, 9, 4, 1, 8]
    logits = random_logits(sum(lengths))
    whole = Decoder(TAGS, random_crf()).decode(logits, lengths)
    shapes: list[tuple[int, ...]] = []

    def noted(potentials: NDArray[np.float64], *others: NDArray[Any]) -> NDArray[np.int64]:
        shapes.append(potentials.shape)
        return best_chains(potentials, *others)

    monkeypatch.setattr("serve.decode.decoder.best_chains", noted)
    monkeypatch.setattr("serve.decode.decoder._MAX_CELLS", 2 * len(TAGS) * 9)
    portions = Decoder(TAGS, random_crf()).decode(logits, lengths)
    # A table holds each chain's tags by words, or by tags where there are more of these.
    assert [shape[:2] for shape in shapes] == [(2, 9), (3, 4)]
    assert portions.tag_ids == whole.tag_ids
    assert portions.scores == whole.scores


def test_no_words_at_all_give_nothing() -> None:
    for decoding in (Decoding(), Decoding(constrained=True), random_crf()):
        decoded = Decoder(TAGS, decoding).decode(random_logits(0), [0, 0])
        assert len(decoded.tag_ids) == len(decoded.scores) == 0


def test_the_probability_of_the_best_tag_is_the_softmax() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]], dtype=np.float32)
    assert best_tags(logits).scores == pytest.approx([0.75, 1.0])


@pytest.mark.parametrize("temperature", [1.0, 0.05, 3.7])
def test_a_line_is_read_the_same_alone_and_among_many(temperature: float) -> None:
    """Few words go through a loop and many through numpy."""
    logits = np.float32(2 * temperature) * random_logits(500)
    logits[::7, 3] = logits[::7, 1] = logits[::7].max(axis=1)  # equals: the first one is taken
    many = best_tags(logits, temperature)
    few = [best_tags(logits[i : i + 10], temperature) for i in range(0, 500, 10)]
    assert [tag for decoded in few for tag in decoded.tag_ids] == many.tag_ids
    assert [score for decoded in few for score in decoded.scores] == many.scores
    assert len(set(many.scores)) > 100


def test_a_temperature_changes_scores_and_no_tag() -> None:
    logits = random_logits(50)
    plain = Decoder(TAGS, Decoding()).decode(logits, [50])
    warm = Decoder(TAGS, Decoding(temperature=2.0)).decode(logits, [50])
    assert warm.tag_ids == plain.tag_ids
    assert all(w < p for w, p in zip(warm.scores, plain.scores, strict=True))
    expected = best_tags(logits / 2)
    assert warm.scores == pytest.approx(expected.scores, rel=1e-6)


def test_weights_at_their_bounds_give_probabilities() -> None:
    num_tags = len(TAGS)
    rows = tuple(tuple(100.0 * (-1) ** (i + j) for j in range(num_tags)) for i in range(num_tags))
    decoding = Decoding(
        temperature=0.05, constrained=True, transitions=rows, start=rows[0], end=rows[1]
    )
    decoded = Decoder(TAGS, decoding).decode(100 * random_logits(40), [40])
    assert np.isfinite(decoded.scores).all()
    assert min(decoded.scores) >= 0
    assert max(decoded.scores) <= 1


def test_marginals_of_each_word_sum_up_to_1() -> None:
    lengths = np.array([6, 3, 3])
    potentials = random_logits(18).astype(np.float64).reshape(3, 6, -1)
    transitions = np.array(random_crf().transitions)
    shares = marginals(potentials, lengths, transitions)
    np.testing.assert_allclose(shares.sum(axis=2), 1.0)
    assert best_chains(potentials, lengths, transitions).shape == (3, 6)


def test_a_decoding_comes_back_from_its_file() -> None:
    for decoding in (Decoding(temperature=1.5, constrained=True), random_crf()):
        assert Decoding.from_json(decoding.to_json(), num_tags=len(TAGS)) == decoding


PLAIN = json.loads(Decoding().to_json())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"temperature": 0.01}, "expected a temperature from 0.05 to 20.0, got 0.01"),
        ({"temperature": float("nan")}, "expected a temperature from 0.05 to 20.0, got nan"),
        ({"temperature": "1"}, "expected temperature to be float, got '1'"),
        ({"constrained": 1}, "expected constrained to be bool, got 1"),
        (
            {"start": [0.0]},
            r"expected transitions, start and end of one number of tags, got \[0, 1",
        ),
        (
            {"transitions": [[0.0, 0.0]], "start": [0.0], "end": [0.0]},
            r"of one number of tags, got \[1, 2\] beside 1 rows",
        ),
        (
            {"transitions": [[float("inf")]], "start": [0.0], "end": [0.0]},
            "expected weights from -100.0 to 100.0, got inf",
        ),
        (
            {"transitions": [[0.0]], "start": [float("nan")], "end": [0.0]},
            "expected weights from -100.0 to 100.0, got nan",
        ),
        (
            {"transitions": [[0.0]], "start": [0.0], "end": [-100.5]},
            "expected weights from -100.0 to 100.0, got -100.5",
        ),
        (
            {"transitions": [[0.0]], "start": [0.0], "end": [0.0]},
            "expected transitions between 5 tags, got 1",
        ),
        ({"beam": 3}, r"\['beam'\] are missing or unknown"),
    ],
)
def test_a_file_that_is_no_decoding_is_refused(row: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Decoding.from_json(json.dumps(PLAIN | row), num_tags=len(TAGS))


def test_what_a_file_does_not_say_is_as_without_one() -> None:
    read = Decoding.from_json('{"temperature": 1.5}', num_tags=len(TAGS))
    assert read == Decoding(temperature=1.5)


def test_a_weight_of_hundreds_of_digits_is_refused() -> None:
    zeros = [0.0] * 3
    crf = {"temperature": 1.0, "constrained": False, "transitions": [zeros] * 3, "end": zeros}
    crf |= {"start": [10**400, 0, 0]}
    with pytest.raises(ValueError, match=r"expected weights from -.* to .*, got 1000") as told:
        Decoding.from_json(json.dumps(crf), num_tags=3)
    assert len(str(told.value)) < 200


def test_weights_that_are_whole_numbers_are_weights() -> None:
    rows = [[0] * len(TAGS)] * len(TAGS)
    record = {**PLAIN, "constrained": True, "transitions": rows, "start": rows[0], "end": rows[0]}
    whole = Decoding.from_json(json.dumps(record), num_tags=len(TAGS))
    logits = random_logits(6)
    expected = Decoder(TAGS, Decoding(constrained=True)).decode(logits, [6])
    assert Decoder(TAGS, whole).decode(logits, [6]).tag_ids == expected.tag_ids

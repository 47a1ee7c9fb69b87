import itertools

import pytest
import torch
from torch import Tensor

from serve.decode.decoder import Decoder as ServedDecoder
from serve.decode.decoding import Decoding
from serve.labels import Tags
from train.config import Decoder, TrainConfig
from train.model.crf import Crf
from train.task.collate import IGNORE_INDEX, LabelledWindow, TrainingBatch
from train.task.objective import ChainLoss, CrossEntropy, make_objective, tag_weights

TAGS = Tags.from_labels(["A", "B"])
OUT, B_A, I_A, B_B, I_B = range(5)
NO = IGNORE_INDEX


def batch_of(tag_ids: Tensor) -> TrainingBatch:
    return TrainingBatch(
        torch.zeros_like(tag_ids), torch.ones_like(tag_ids), tag_ids, int((tag_ids != NO).sum())
    )


def random_crf() -> Crf:
    torch.manual_seed(0)
    crf = Crf(TAGS)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def obeys(chain: tuple[int, ...]) -> bool:
    return all(
        TAGS.names[b][0] != "I" or TAGS.names[a][1:] == TAGS.names[b][1:]
        for a, b in itertools.pairwise(chain)
    )


def likelihood(crf: Crf, words: Tensor, gold: list[int]) -> float:
    """Return the log-likelihood of one sequence by counting all of them."""

    def weight(chain: tuple[int, ...]) -> Tensor:
        total = crf.start[chain[0]] + crf.end[chain[-1]]
        total = total + sum(words[word, tag] for word, tag in enumerate(chain))
        return total + sum(crf.transitions[a, b] for a, b in itertools.pairwise(chain))

    chains = itertools.product(range(len(TAGS)), repeat=len(gold))
    everything = torch.stack([weight(chain) for chain in chains if obeys(chain)]).logsumexp(0)
    return (weight(tuple(gold)) - everything).item()


def test_a_crfs_likelihood_is_that_of_counting_every_sequence() -> None:
    crf = random_crf()
    logits = 2 * torch.randn(3, 6, len(TAGS))
    tag_ids = torch.tensor(
        [[NO, B_A, NO, I_A, OUT, NO], [NO, OUT, B_B, I_B, B_A, NO], [NO, B_B, NO, NO, NO, NO]]
    )
    expected = 0.0
    for row in range(3):
        at = tag_ids[row] != NO
        expected += likelihood(crf, logits[row][at], tag_ids[row][at].tolist())
    assert crf(logits, tag_ids).item() == pytest.approx(expected, rel=1e-5)


def test_a_row_that_trains_nothing_costs_nothing() -> None:
    crf = random_crf()
    logits = torch.randn(2, 4, len(TAGS))
    tag_ids = torch.tensor([[NO, B_A, OUT, NO], [NO, NO, NO, NO]])
    assert crf(logits, tag_ids).item() == pytest.approx(crf(logits[:1], tag_ids[:1]).item())


def test_a_window_that_begins_inside_an_entity_has_a_likelihood() -> None:
    crf = random_crf()
    tag_ids = torch.tensor([[I_A, I_A, OUT]])
    assert crf(torch.randn(1, 3, len(TAGS)), tag_ids).item() > -50


def test_a_chain_learns_what_follows_what_and_serving_decodes_it() -> None:
    torch.manual_seed(0)
    objective = ChainLoss(TAGS)
    batch = batch_of(torch.tensor([[B_A, I_A, B_B], [B_A, I_A, B_B]]))
    logits = torch.zeros(2, 3, len(TAGS))  # say nothing: the chain has to know
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(logits, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    decoded = ServedDecoder(TAGS, objective.decoding()).decode(logits[0].numpy(), [3])
    assert decoded.tag_ids == [B_A, I_A, B_B]
    assert min(decoded.scores) > 0.8


def test_weights_beyond_what_serving_takes_are_held_at_its_bounds() -> None:
    crf = Crf(TAGS)
    with torch.no_grad():
        crf.start[0], crf.transitions[1, 2] = -1e6, 1e6
    decoding = crf.decoding()
    assert (decoding.start[0], decoding.transitions[1][2]) == (-100.0, 100.0)


def test_cross_entropy_is_summed_over_what_trains() -> None:
    logits = torch.randn(2, 3, len(TAGS))
    tag_ids = torch.tensor([[NO, B_A, OUT], [I_B, NO, NO]])
    chances = logits.log_softmax(dim=2)
    expected = -(chances[0, 1, B_A] + chances[0, 2, OUT] + chances[1, 0, I_B])
    loss = CrossEntropy(Decoding())(logits, batch_of(tag_ids))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothing_gives_every_tag_a_share_of_the_target() -> None:
    logits = torch.randn(1, 1, len(TAGS))
    chances = logits.log_softmax(dim=2)[0, 0]
    loss = CrossEntropy(Decoding(), label_smoothing=0.2)(logits, batch_of(torch.tensor([[OUT]])))
    assert loss.item() == pytest.approx((-0.8 * chances[OUT] - 0.2 * chances.mean()).item())


def test_rare_tags_weigh_more_and_the_mean_is_1() -> None:
    window = LabelledWindow(window=None, tag_ids=[OUT] * 16 + [B_A] * 4 + [NO] * 9)
    weights = tag_weights([window], len(TAGS), 0.5)
    assert (weights[B_A] / weights[OUT]).item() == pytest.approx(2.0)  # 4 times as rare
    assert weights[I_A] == weights[I_B] == pytest.approx(2 * weights[B_A].item()), "as if once"
    mean = (16 * weights[OUT] + 4 * weights[B_A]).item() / 20
    assert mean == pytest.approx(1.0, abs=1e-6), "tags that are not there have no part in it"
    assert weights.isfinite().all()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_mean_weight_is_1_whatever_the_power_and_however_many_tags_are_absent(
    power: float,
) -> None:
    window = LabelledWindow(window=None, tag_ids=[OUT] * 7 + [I_B])
    for num_tags in (len(TAGS), 100):
        weights = tag_weights([window], num_tags, power)
        mean = (7 * weights[OUT] + weights[I_B]).item() / 8
        assert mean == pytest.approx(1.0, abs=1e-6)
        assert weights[B_A] == weights[I_B], "an absent tag weighs as one that is there once"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrainConfig(decoder=Decoder.PLAIN), Decoding()),
        (TrainConfig(decoder=Decoder.CONSTRAINED), Decoding(constrained=True)),
    ],
)
def test_the_decoder_asked_for_is_the_one_that_serves(
    config: TrainConfig, expected: Decoding
) -> None:
    assert make_objective(config, TAGS, []).decoding() == expected


@pytest.mark.parametrize(("smoothing", "power"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.5), (0.2, 0.5)])
def test_the_loss_is_smoothed_and_weighted_as_asked_for(smoothing: float, power: float) -> None:
    """By hand: a word's smoothed loss, times its own tag's weight; B-A is a quarter as frequent."""
    logits = torch.randn(1, 3, len(TAGS))
    window = LabelledWindow(window=None, tag_ids=[OUT] * 16 + [B_A] * 4)
    weight = {tag: count**-power for tag, count in ((OUT, 16), (B_A, 4))}
    mean = (16 * weight[OUT] + 4 * weight[B_A]) / 20
    expected = 0.0
    for chances, gold in zip(logits[0].log_softmax(dim=1), (OUT, B_A), strict=False):
        smoothed = (1 - smoothing) * chances[gold] + smoothing * chances.mean()
        expected -= weight[gold] / mean * smoothed.item()
    config = TrainConfig(label_smoothing=smoothing, class_weights=power)
    loss = make_objective(config, TAGS, [window])(logits, batch_of(torch.tensor([[OUT, B_A, NO]])))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_weights_do_not_change_what_a_words_best_chances_are() -> None:
    """Smoothed and weighted, the loss of a word is least where it is without weights."""
    window = LabelledWindow(window=None, tag_ids=[OUT] * 1000 + [B_A] * 100 + [I_A] * 10 + [B_B])
    config = TrainConfig(label_smoothing=0.1, class_weights=1.0)
    best = torch.full((len(TAGS),), 0.1 / len(TAGS))
    best[OUT] += 0.9
    logits = best.log().reshape(1, 1, -1).requires_grad_()
    make_objective(config, TAGS, [window])(logits, batch_of(torch.tensor([[OUT]]))).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max().item() < 1e-6


def test_a_crf_serves_its_transitions() -> None:
    decoding = make_objective(TrainConfig(decoder=Decoder.CRF), TAGS, []).decoding()
    assert decoding.is_crf
    assert decoding.constrained

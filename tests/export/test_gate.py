"""The gate itself: what passes, what does not, and that the label at fault is named."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from export.config import ExportConfig
from export.gate import Allowance, check_gate
from export.parity import ParityReport
from serve.bootstrap import F1Change, F1Changes, f1_changes
from serve.bundle import Precision
from serve.errors import ParityError
from serve.examples import Span

INT8 = Allowance(points=0.5, label_points=1.5)


def change(after: float, *, num_gold: int = 100, low: float = 0.1) -> F1Change:
    return F1Change(num_gold, 0.9, after, (low, 50.0))


def report(after: float = 0.9, **by_label: F1Change) -> ParityReport:
    return ParityReport(
        max_abs_diff=1e-5,
        diff_by_length={8: 1e-5},
        num_tokens=100,
        tag_agreement=1.0,
        f1=F1Changes(change(after), by_label),
    )


@pytest.mark.parametrize("precision", list(Precision))
def test_an_equal_graph_passes(precision: Precision) -> None:
    check_gate(report(Item=change(0.9)), precision, Allowance(0.0, 0.0))


def test_a_loss_of_just_the_allowance_passes_and_more_does_not() -> None:
    check_gate(report(0.895), Precision.INT8, INT8)
    message = (
        r"at most 0.5 points of entity F1, got 0.51 \(90.00 to 89.49\); "
        r"leave --int8 out, or allow it with --allow-f1-loss 0.6$"
    )
    with pytest.raises(ParityError, match=message):
        check_gate(report(0.8949), Precision.INT8, INT8)
    check_gate(report(0.8949), Precision.INT8, replace(INT8, points=0.6))


def test_a_full_precision_graph_that_loses_is_refused_with_a_remedy_that_there_is() -> None:
    """It has no flag of its own, and no allowance applies to it."""
    config = ExportConfig(allow_f1_loss=9.0, allow_label_f1_loss=9.0)
    message = (
        r"^fp32 graph: .* got (0.51|2.00) .*\); use the pinned versions of torch and transformers$"
    )
    for lossy in (report(0.8949), report(Item=change(0.88))):
        with pytest.raises(ParityError, match=message):
            check_gate(lossy, Precision.FP32, Allowance.of(config, Precision.FP32))


def test_each_allowance_is_the_one_that_was_asked_for() -> None:
    config = ExportConfig(allow_f1_loss=0.7, allow_label_f1_loss=2.0, atol=0.003)
    assert Allowance.of(config, Precision.INT8) == Allowance(0.7, 2.0, atol=0.003)


def test_a_gain_passes() -> None:
    check_gate(report(0.95, Item=change(0.95)), Precision.FP16, Allowance(0.1, 1.5))


def test_a_loss_on_one_label_only_is_refused_with_its_name_and_flag() -> None:
    check_gate(report(Item=change(0.885), Activity=change(0.91)), Precision.INT8, INT8)
    message = r"at most 1.5 points of F1 on Item, got 1.60 .* --allow-label-f1-loss 1.6"
    lossy = report(Item=change(0.884), Activity=change(0.91))
    with pytest.raises(ParityError, match=message):
        check_gate(lossy, Precision.INT8, INT8)
    check_gate(lossy, Precision.INT8, Allowance(0.5, 1.6))


def test_a_label_with_fewer_than_30_entities_cannot_close_the_gate() -> None:
    check_gate(report(Item=change(0.5, num_gold=29)), Precision.INT8, INT8)
    with pytest.raises(ParityError, match="F1 on Item"):
        check_gate(report(Item=change(0.5, num_gold=30)), Precision.INT8, INT8)


def test_a_loss_on_a_label_that_chance_explains_does_not_close_the_gate() -> None:
    """All labels together do, whatever the interval."""
    check_gate(report(Item=change(0.5, low=0.0)), Precision.INT8, INT8)
    chance = replace(report(), f1=F1Changes(change(0.8, low=-1.0), {}))
    with pytest.raises(ParityError, match="points of entity F1"):
        check_gate(chance, Precision.INT8, INT8)


LABELS = tuple(f"L{i:02}" for i in range(20))


def texts_of(gold: list[list[Span]]) -> list[str]:
    """Return a text of its own for each line."""
    return [f"fix hose {number}" for number in range(len(gold))]


def without_first_label(num_lost: int, *, of: int) -> ParityReport:
    """Return the report where a graph no longer finds so many of one label's entities."""
    gold = [[Span(0, 1, label)] for label in LABELS for _ in range(of)]
    after = [[] if i < num_lost else spans for i, spans in enumerate(gold)]
    return replace(report(), f1=f1_changes(gold, gold, after, texts_of(gold)))


def test_entities_that_flip_either_way_do_not_close_the_gate_on_twenty_labels() -> None:
    """Of labels of 40 entities: one or two lost costs 1.3 to 2.6 points."""
    draw = np.random.default_rng(3)
    gold = [[Span(0, 1, label)] for label in LABELS for _ in range(40)]
    missed = draw.choice(len(gold), size=32, replace=False).tolist()
    before = [[] if i in missed[:16] else spans for i, spans in enumerate(gold)]
    after = [[] if i in missed[16:] else spans for i, spans in enumerate(gold)]
    found = replace(report(), f1=f1_changes(gold, before, after, texts_of(gold)))
    losses = [change.loss_points for change in found.f1.by_label.values()]
    assert max(losses) > INT8.label_points, "or the flips were too few to prove anything"
    check_gate(found, Precision.INT8, INT8)


@pytest.mark.parametrize(("num_lost", "of"), [(40, 40), (4, 40), (10, 100)])
def test_a_true_loss_of_one_label_of_twenty_closes_the_gate(num_lost: int, of: int) -> None:
    lossy = without_first_label(num_lost, of=of)
    with pytest.raises(ParityError, match="points of F1 on L00"):
        check_gate(lossy, Precision.INT8, replace(INT8, points=100))


@pytest.mark.parametrize("diff", [np.nan, np.inf])
def test_a_graph_that_is_not_finite_is_refused(diff: float) -> None:
    with pytest.raises(ParityError, match="fp16 graph: expected finite logits"):
        check_gate(replace(report(), max_abs_diff=diff), Precision.FP16, Allowance(100, 100))


def test_a_full_precision_graph_must_give_pytorchs_logits() -> None:
    drifted = replace(report(), max_abs_diff=0.002)
    check_gate(drifted, Precision.FP16, INT8)
    with pytest.raises(ParityError, match=r"within 0\.001 of PyTorch's, got 0\.002; .* --atol"):
        check_gate(drifted, Precision.FP32, INT8)
    check_gate(drifted, Precision.FP32, replace(INT8, atol=0.003))


@pytest.mark.parametrize("name", ["allow_f1_loss", "allow_label_f1_loss", "atol"])
@pytest.mark.parametrize("bound", [math.nan, math.inf, -0.1])
def test_a_bound_that_holds_nothing_is_refused(name: str, bound: float) -> None:
    """Nothing is above NaN: the gate would let any graph through."""
    with pytest.raises(ValueError, match=f"expected {name} of 0 or more, finite, got {bound}"):
        ExportConfig(**{name: bound})

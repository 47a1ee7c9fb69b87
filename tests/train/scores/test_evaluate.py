import random
import warnings
from itertools import chain
from pathlib import Path

import pytest
import torch
from sklearn.metrics import classification_report
from transformers import BertForTokenClassification

from serve.examples import Example, Span, read_jsonl
from serve.labels import Tags
from serve.scoring import score_entities
from serve.tagger import Tagger
from train.model.base import find_base
from train.scores.evaluate import Evaluation, TorchBackend, entity_f1, evaluate, score_tags
from train.scores.report import evaluation_json, format_evaluation, word_report


@pytest.fixture(scope="module")
def evaluation(tiny_checkpoint: Path) -> Evaluation:
    model = BertForTokenClassification.from_pretrained(tiny_checkpoint)
    encoder = find_base(str(tiny_checkpoint)).encoder()
    tags = Tags(tuple(model.config.id2label[i] for i in range(model.config.num_labels)))
    tagger = Tagger(encoder, tags, TorchBackend(model))
    examples = [
        *read_jsonl(tiny_checkpoint / "dev.jsonl"),
        Example("please", (Span(0, 6, "Item"),)),  # a label the model will not find here
        Example("", ()),
    ]
    result = evaluate(tagger, examples)
    assert entity_f1(tagger, examples) == result.entities.micro.f1
    return result


def test_a_model_is_scored_by_entities_and_by_words(evaluation: Evaluation) -> None:
    assert evaluation.num_lines == 32
    assert 0.9 < evaluation.entities.micro.f1 < 1.0
    assert 0.9 < word_report(evaluation.words)["micro"]["f1"] < 1.0


def test_the_backend_leaves_dropout_out_and_follows_training(tiny_checkpoint: Path) -> None:
    model = BertForTokenClassification.from_pretrained(
        tiny_checkpoint, hidden_dropout_prob=0.5
    ).train()
    encoder = find_base(str(tiny_checkpoint)).encoder()
    (text,) = encoder.encode(["oil pump leaking"])
    batch = encoder.collate(text.windows, 8)
    backend = TorchBackend(model)
    first = backend.logits(batch)
    model.train()
    assert (first == backend.logits(batch)).all()
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    assert (first != backend.logits(batch)).any()


def test_padding_changes_no_score(tiny_checkpoint: Path) -> None:
    backend = TorchBackend(BertForTokenClassification.from_pretrained(tiny_checkpoint))
    encoder = find_base(str(tiny_checkpoint)).encoder()
    (text,) = encoder.encode(["oil pump leaking"])
    alone, padded = encoder.collate(text.windows), encoder.collate(text.windows, 12)
    num_tokens = alone.input_ids.shape[1]
    assert num_tokens < 12
    torch.testing.assert_close(
        torch.from_numpy(backend.logits(padded)[:, :num_tokens]),
        torch.from_numpy(backend.logits(alone)),
    )


def test_no_words_at_all_have_figures_too() -> None:
    assert word_report(score_tags([[]], [[]]))["micro"]["f1"] == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_tag_figures_equal_scikit_learns(seed: int) -> None:
    choose = random.Random(seed)
    names = ["O", "B-A", "I-A", "B-B", "I-B"]
    gold = [choose.choices(names[:4], k=9) for _ in range(20)]
    predicted = [[choose.choice([tag, choose.choice(names)]) for tag in tags] for tags in gold]
    scores = score_tags(gold, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = classification_report(
            [*chain(*gold)], [*chain(*predicted)], output_dict=True, zero_division=0.0
        )
    report = word_report(scores)
    for ours, theirs in [
        *((name, name) for name in names),
        ("macro", "macro avg"),
        ("weighted", "weighted avg"),
    ]:
        row = report["rows"].get(ours) or report[ours]  # type: ignore[literal-required]
        assert row["precision"] == pytest.approx(expected[theirs]["precision"])
        assert row["recall"] == pytest.approx(expected[theirs]["recall"])
        assert row["f1"] == pytest.approx(expected[theirs]["f1-score"])
        assert row["support"] == expected[theirs]["support"]
    assert report["micro"]["f1"] == pytest.approx(expected["accuracy"])


def evaluate_nothing() -> Evaluation:
    return Evaluation(0, score_entities([], []), score_tags([], []))


def test_the_mean_over_labels_is_over_those_that_gold_has() -> None:
    gold, predicted = [[Span(0, 3, "A")]], [[Span(0, 3, "A"), Span(4, 8, "B")]]
    evaluation = Evaluation(1, score_entities(gold, predicted), score_tags([], []))
    entities = evaluation_json(evaluation)["entities"]
    assert entities["rows"].keys() == {"A", "B"}
    assert entities["macro"]["f1"] == entities["weighted"]["f1"] == 1.0
    assert entities["micro"]["f1"] == pytest.approx(2 / 3), "where B costs precision"


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        score_tags([["O"]], [["O", "O"]])
    with pytest.raises(ValueError, match="shorter"):
        score_tags([["O"]], [])


def test_the_tables_and_the_json_show_the_same_figures(evaluation: Evaluation) -> None:
    figures = evaluation_json(evaluation)
    table = format_evaluation("dev", evaluation).splitlines()
    assert table[0] == "dev: 32 lines"
    assert "strict" in table[2]
    rows = {
        line[: line.index(".") - 1].strip(): line.split()
        for line in table
        if "0." in line or "1." in line
    }
    for name, row in {
        "Item": figures["entities"]["rows"]["Item"],
        "O": figures["words"]["rows"]["O"],
        "weighted avg": figures["words"]["weighted"],
    }.items():
        shown = rows[name][-4:]
        assert shown == [f"{row[k]:.4f}" for k in ("precision", "recall", "f1")] + [
            str(row["support"])
        ]
    assert figures["entities"]["micro"]["f1"] == evaluation.entities.micro.f1
    each = [score.f1 for score in evaluation.entities.by_label.values() if score.num_gold]
    assert figures["entities"]["macro"]["f1"] == pytest.approx(sum(each) / len(each))
    words = evaluation.words.values()
    accuracy = sum(s.num_correct for s in words) / sum(s.num_gold for s in words)
    assert figures["words"]["micro"]["precision"] == pytest.approx(accuracy)


def test_an_evaluation_of_nothing_is_all_zeros() -> None:
    figures = evaluation_json(evaluate_nothing())
    assert figures["entities"]["micro"]["f1"] == figures["words"]["weighted"]["f1"] == 0.0

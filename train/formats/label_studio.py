"""Owns Label Studio's JSON: tasks with annotations, and tasks with predictions to correct.

Policy:
* Of a task's annotations those that were cancelled do not count. Of the others the one marked as
  ground truth is taken, else the one updated last, else the last; one that answers other questions
  only, such as choices, after all that have labels or, of a text without entities, nothing. Where
  they differ and none is the ground truth, the task is disputed. A task without one is left out: it
  is not labelled, which is not the same as a text without entities.
* The text is the one in `data` that results name by `to_name`, else `data.text`, or the only text.
  Of the results those with labels and offsets count; a result with two labels is two spans. Labels
  on a page or a dialogue have no offsets in the text, and a part of the text may have its name in a
  taxonomy: both are refused, for left out they would teach that nothing is there.
* Offsets count characters (code points). Versions before 1.4 counted UTF-16 units, so that a text
  with an emoji in it was off; `train.formats.marks` tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from serve.examples import Example, Span
from serve.files import replacing_file
from train.formats.marks import Mark, placed
from train.formats.record import Record, shown, span_of
from train.formats.words import Writing

FROM_NAME, TO_NAME = "label", "text"
"""Names of the tags in the labelling interface that Label Studio offers for entities."""
_ELSEWHERE = frozenset({"hypertextlabels", "paragraphlabels"})
"""Where a result has its labels if it is of a page or a dialogue."""


def parse(place: str, task: object) -> Record | None:
    """Return the labelled line of a task; None where nobody finished it.

    Raises:
        ValueError: If it is no task, or a result of its annotation is not as expected.
    """
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise ValueError(
            f'expected a task with "data" and "annotations", got {shown(task)}; export as JSON'
        )
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        raise ValueError(
            f'expected a list under "annotations", got {shown(annotations)}; export as JSON'
        )
    finished = [
        (number, annotation)
        for number, annotation in enumerate(annotations)
        if not (isinstance(annotation, dict) and annotation.get("was_cancelled"))
    ]
    if not finished:
        return None
    number, annotation = max(finished, key=_rank)
    text = _text(task["data"], annotation)
    spans = tuple(_spans(annotation, f"annotations[{number}]", text))
    said = {_said(annotation) for _, annotation in finished}
    is_disputed = len(said) > 1 and not _is_ground_truth(annotation)
    return Record(place, text, spans, fields=task, is_disputed=is_disputed)


def write(path: Path, examples: Iterable[Example], _: Writing) -> None:
    """Write labelled lines as tasks with one annotation each."""
    write_tasks(path, (_task(e, "annotations", {"was_cancelled": False}) for e in examples))


def prediction_task(example: Example, *, model: str, score: float) -> dict[str, object]:
    """Return a task whose spans are a model's, for a person to correct."""
    return _task(example, "predictions", {"model_version": model, "score": score})


def write_tasks(path: Path, tasks: Iterable[dict[str, object]]) -> None:
    """Write an array of tasks, one a line, numbered from 1."""
    with replacing_file(path) as file:
        before = "[\n"
        for number, task in enumerate(tasks, start=1):
            file.write(before + json.dumps({"id": number} | task, ensure_ascii=False))
            before = ",\n"
        file.write("\n]\n" if before == ",\n" else "[]\n")


def _rank(numbered: tuple[int, object]) -> tuple[bool, bool, str, int]:
    number, annotation = numbered
    fields = annotation if isinstance(annotation, dict) else {}
    is_about_spans = not fields.get("result") or any(_with_labels(annotation))
    updated_at = str(fields.get("updated_at") or "")
    return _is_ground_truth(annotation), is_about_spans, updated_at, number


def _is_ground_truth(annotation: object) -> bool:
    return isinstance(annotation, dict) and bool(annotation.get("ground_truth"))


def _said(annotation: object) -> frozenset[str]:
    """Return what an annotation calls how, to compare it with others; nothing is checked."""
    return frozenset(
        repr((result.get("to_name"), value.get("start"), value.get("end"), label))
        for result, value in _with_labels(annotation)
        for label in (value["labels"] if isinstance(value["labels"], list) else [value["labels"]])
    )


def _text(data: dict[str, object], annotation: object) -> str:
    """Return the text that was labelled: by the name of its tag, where data has that, too."""
    texts = [value for value in data.values() if isinstance(value, str)]
    text = data.get("text", texts[0] if len(texts) == 1 else None)
    named = sorted(name for name in _labelled(annotation) if isinstance(data.get(name), str))
    if len(named) > 1:
        raise ValueError(
            f"expected labels on one text of a task, got some on {' and '.join(named)}; "
            "make a task of each text"
        )
    if named:
        text = data[named[0]]
    if not isinstance(text, str):
        raise ValueError(
            f'expected a "text", or one text only, under data, got {shown(data)}; '
            'name the labelled one "text"'
        )
    return text


def _labelled(annotation: object) -> set[str]:
    """Return the names of what has labels on it; of other results, such as choices, none."""
    names = (result.get("to_name") for result, _ in _with_labels(annotation))
    return {name for name in names if isinstance(name, str)}


def _with_labels(annotation: object) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the results that have labels, each with its value."""
    results = annotation.get("result") if isinstance(annotation, dict) else None
    for result in results if isinstance(results, list) else ():
        value = result.get("value") if isinstance(result, dict) else None
        if isinstance(value, dict) and value.get("labels"):
            yield result, value


def _spans(annotation: object, at: str, text: str) -> Iterable[Span]:
    results = annotation.get("result") if isinstance(annotation, dict) else None
    if not isinstance(results, list):
        raise ValueError(f"expected a list at {at}.result, got {shown(results)}; export as JSON")
    marks: list[Mark] = []
    for number, result in enumerate(results):
        value = result.get("value") if isinstance(result, dict) else None
        if isinstance(value, dict):
            marks += _marks(value, f"{at}.result[{number}].value")
    _check_named(results, _labelled(annotation), at)
    return placed(marks, text)


def _check_named(results: list[object], labelled: set[str], at: str) -> None:
    """Refuse a part of the text that no result of its region gives labels.

    Args:
        results: What was labelled, on the text and on what else the task may show beside it.
        labelled: Names of what has labels on it; empty if nothing has.
        at: Where that is, for errors.
    """
    regions = [
        (str(result.get("id")), result["value"])
        for result in results
        if isinstance(result, dict) and isinstance(result.get("value"), dict)
        if not labelled or result.get("to_name") in (*labelled, None)
    ]
    named = {region for region, value in regions if "labels" in value}
    for region, value in regions:
        if region not in named and {"start", "end"} <= value.keys():
            raise ValueError(
                f'expected "labels" for each part of the text at {at}.result, got '
                f"{shown(value)}; label it with <Labels>"
            )


def _marks(value: dict[str, object], at: str) -> Iterator[Mark]:
    for other in _ELSEWHERE & value.keys():
        raise ValueError(
            f'expected "labels" on a plain text at {at}, got {other!r}; label the text itself, '
            "with <Labels> on <Text>"
        )
    labels, quoted = value.get("labels"), value.get("text")
    if not labels:
        return
    if not isinstance(labels, list):
        raise ValueError(f"expected a list at {at}.labels, got {shown(labels)}; export as JSON")
    for label in labels:
        span = span_of(value.get("start"), value.get("end"), label, at)
        yield Mark(span, quoted if isinstance(quoted, str) else None, at)


def _task(example: Example, kind: str, about: dict[str, object]) -> dict[str, object]:
    results = [_result(example.text, span, number) for number, span in enumerate(example.spans)]
    return {"data": {"text": example.text}, kind: [about | {"result": results}]}


def _result(text: str, span: Span, number: int) -> dict[str, object]:
    value = {
        "start": span.start,
        "end": span.end,
        "text": text[span.start : span.end],
        "labels": [span.label],
    }
    names = {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "labels"}
    return {"id": str(number), **names, "value": value}


def labelling_interface(labels: Iterable[str]) -> str:
    """Return the interface to paste into a project; the tasks written here go by its names."""
    values = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in labels)
    return (
        f'<View>\n  <Labels name="{FROM_NAME}" toName="{TO_NAME}">\n{values}  </Labels>\n'
        f'  <Text name="{TO_NAME}" value="$text"/>\n</View>\n'
    )

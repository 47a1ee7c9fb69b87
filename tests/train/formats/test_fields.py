import pytest

from serve.errors import DataError
from train.formats.fields import field_of, seconds_of
from train.formats.record import Record


def record(**fields: object) -> Record:
    return Record("a:1", "x", (), fields=fields)


def test_a_field_is_found_by_its_path() -> None:
    assert field_of(record(meta={"site": "north"}), "meta.site") == "north"
    assert field_of(record(document=3), "document") == 3


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ({}, "none"),
        ({"meta": {"site": None}, "tokens": []}, "none"),
        ({"meta": "north"}, "meta"),
        ({"meta": {"plant": "north", "by": {"id": 1}}, "id": 7}, r"id, meta\.by\.id, meta\.plant$"),
    ],
)
def test_a_missing_field_is_told_with_those_there_are(
    fields: dict[str, object], there: str
) -> None:
    message = r"a:1: expected a text or number in the field meta\.site, got None; name one of its "
    with pytest.raises(DataError, match=f"{message}fields: {there}"):
        field_of(record(**fields), "meta.site")


@pytest.mark.parametrize(
    "value",
    ["1970-01-02T00:00:00+00:00", "1970-01-02", "1970-01-02T00:00:00Z", "1970-01-02T01:00+01:00",
     86400, 86400.0],
)  # fmt: skip
def test_moments_of_every_form_are_seconds(value: object) -> None:
    assert seconds_of(record(t=value), "t") == 86400.0


@pytest.mark.parametrize("value", ["yesterday", "", "2024-13-01", float("nan"), float("-inf")])
def test_what_is_no_moment_is_refused(value: str | float) -> None:
    with pytest.raises(DataError, match="a:1: expected seconds or an ISO 8601 time in the field t"):
        seconds_of(record(t=value), "t")

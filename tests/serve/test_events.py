"""Tests that events read well for people and parse for machines."""

from __future__ import annotations

import json
import logging

import pytest

from serve.events import JsonFormatter, log_event

logger = logging.getLogger("serve.tests")


def test_an_event_is_one_line_for_people(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="serve.tests"):
        log_event(logger, logging.INFO, "retry", request_id="a-1", details="no\nway", empty="")
    assert caplog.messages == ['retry request_id=a-1 details="no\\nway" empty=""']


def test_an_event_is_one_json_object_for_machines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="serve.tests"):
        log_event(logger, logging.WARNING, "ejected", url="h:1", reason=None, num_tries=2)
        logger.warning("plain %s", "text")
    event, plain = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "WARNING",
        "logger": "serve.tests",
        "event": "ejected",
        "url": "h:1",
        "reason": None,
        "num_tries": 2,
    }
    assert plain["event"] == "plain text"


def test_a_field_cannot_pretend_to_be_the_time_or_the_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="serve.tests"):
        log_event(logger, logging.INFO, "odd", time="never", logger_name="x")
    (record,) = caplog.records
    assert json.loads(JsonFormatter().format(record))["time"] != "never"


def test_an_exception_goes_along(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("a reason")
    except ValueError:
        logger.exception("failed")
    (record,) = caplog.records
    assert "ValueError: a reason" in json.loads(JsonFormatter().format(record))["exception"]


def test_an_event_below_the_level_costs_no_formatting() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    log_event(logging.getLogger("serve.tests.off"), logging.DEBUG, "event", field=Costly())

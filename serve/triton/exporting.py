"""Owns how figures and log records get from the model's process to Triton: its metrics, its log."""

from __future__ import annotations

import logging
from typing import Any

import triton_python_backend_utils as pb_utils

from serve.errors import Refusal
from serve.events import JsonFormatter
from serve.triton.metering import FAMILIES, KINDS, Counts

_PREFIX = "linetag_model_"


class TritonMetrics:
    """Counters of a model's version among Triton's metrics."""

    def __init__(self, model: str, version: str) -> None:
        """Make the families."""
        self._labels = {"model": model, "version": version}
        self._families = {
            name: pb_utils.MetricFamily(
                name=f"{_PREFIX}{name}_total",
                description=description,
                kind=pb_utils.MetricFamily.COUNTER,
            )
            for name, description in FAMILIES.items()
        }
        self._metrics: dict[tuple[str, str], Any] = {}
        # From the beginning: a rate over time sees no growth of what was not there before.
        self.add({(name, ""): 0 for name in FAMILIES if name not in KINDS})
        self.add({("refusals", str(reason)): 0 for reason in Refusal})

    def add(self, counts: Counts) -> None:
        """Add to the counters."""
        for (name, kind), number in counts.items():
            metric = self._metrics.get((name, kind))
            if metric is None:
                labels = {KINDS[name]: kind} if kind else {}
                metric = self._families[name].Metric(labels={**self._labels, **labels})
                self._metrics[name, kind] = metric
            metric.increment(number)


class TritonHandler(logging.Handler):
    """Writes records to Triton's log, as JSON."""

    def __init__(self) -> None:
        """Make the handler."""
        super().__init__()
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        write = pb_utils.Logger.log_info
        if record.levelno >= logging.WARNING:
            is_error = record.levelno >= logging.ERROR
            write = pb_utils.Logger.log_error if is_error else pb_utils.Logger.log_warn
        write(self.format(record))

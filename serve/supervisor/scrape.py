"""Owns the way from a server's Prometheus metrics to its figures."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from serve.errors import ServerError
from serve.supervisor.figures import Figures

MAX_BYTES = 1_000_000
# The model's own, where it has them: Triton counts canaries, and the encoder's work once more.
_REQUESTS, _TEXTS = "linetag_model_requests_total", "linetag_model_texts_total"
_BATCHES, _TOKENS = "linetag_model_batches_total", "linetag_model_tokens_total"
_FAILURES, _PENDING = "nv_inference_request_failure", "nv_inference_pending_request_count"
_LATENCY = "nv_inference_request_summary_us"


def fetch(url: str, *, timeout_s: float) -> str:
    """Return a server's metrics as text.

    Raises:
        ServerError: If it does not answer in time, with more than `MAX_BYTES`, or with fewer than
            it announced.
    """
    # A proxy for the web has no business between two processes of one machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{url}/metrics", timeout=timeout_s) as response:
            content: bytes = response.read(MAX_BYTES + 1)
            num_missing = response.length or 0  # asked for a number, Python takes fewer for all
    except (OSError, HTTPException) as error:
        raise ServerError(f"{url}: expected metrics, got {error}") from error
    if len(content) > MAX_BYTES:
        raise ServerError(f"{url}: expected at most {MAX_BYTES} bytes of metrics, got more")
    if num_missing:
        num_expected = len(content) + num_missing
        raise ServerError(f"{url}: expected {num_expected} bytes of metrics, got {len(content)}")
    return content.decode(errors="replace")


def read_figures(text: str, *, at: float) -> Figures:
    """Return the figures that metrics hold.

    Args:
        text: The metrics.
        at: When they were fetched, in seconds since 1970.

    Raises:
        ServerError: If they are not in Prometheus' text format, or a count is no number.
    """
    try:
        families = text_string_to_metric_families(text)
        return _figures([sample for family in families for sample in family.samples], at)
    except (ValueError, OverflowError) as error:  # of the parser; of a count that is NaN or Inf
        raise ServerError(f"expected metrics in Prometheus' text format, got {error}") from error


def _figures(samples: list[Any], at: float) -> Figures:
    def total(name: str) -> int:
        names = (name, f"{name}_total")  # the parser calls every counter so
        return int(sum(sample.value for sample in samples if sample.name in names))

    def quantile(which: str) -> float | None:
        found = [
            sample.value
            for sample in samples
            if sample.name == _LATENCY and sample.labels.get("quantile") == which
        ]
        numbers = [value for value in found if value == value]  # NaN when a minute was quiet
        return max(numbers) / 1e3 if numbers else None  # the slower of two versions

    return Figures(
        at=at,
        num_requests=total(_REQUESTS),
        num_failures=total(_FAILURES),
        num_texts=total(_TEXTS),
        num_batches=total(_BATCHES),
        num_pending=total(_PENDING),
        p50_ms=quantile("0.5"),
        p99_ms=quantile("0.99"),
        tokens={
            sample.labels["version"]: int(sample.value)
            for sample in samples
            if sample.name == _TOKENS and "version" in sample.labels
        },
    )

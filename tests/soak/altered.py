"""Publishes a version whose model does one thing more than ours: it is slow, or it leaks.

The rest of it is ours, and the Triton it runs in is a real one.
"""

from __future__ import annotations

from pathlib import Path

from serve.repository import publish
from serve.triton.names import MODEL
from serve.versions.folders import MODEL_FILE

_TEXT = """
import time

from serve.triton.model import TritonPythonModel as Ours


class TritonPythonModel(Ours):
    kept = []

    def execute(self, requests):
        {statement}
        return super().execute(requests)
"""
TEXT_S = 2.5e-3


def publish_slow(bundle: Path, repository: Path) -> None:
    """Publish a model that takes `TEXT_S` more for each request, however they are batched."""
    _publish(bundle, repository, f"time.sleep({TEXT_S} * len(requests))")


def publish_leaking(bundle: Path, repository: Path) -> None:
    """Publish a model that keeps 1,000 bytes of each request: 10 MB of 10,000 requests."""
    _publish(bundle, repository, "self.kept.extend(bytes([1]) * 1000 for _ in requests)")


def _publish(bundle: Path, repository: Path, statement: str) -> None:
    version = publish(bundle, repository)
    model = repository / MODEL / str(version) / MODEL_FILE
    model.write_text(_TEXT.format(statement=statement))

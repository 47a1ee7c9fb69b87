"""Publishes a version whose model does one thing more than ours: it is slow, computes, or leaks.

The rest of it is ours, and the Triton it runs in is a real one.
"""

from __future__ import annotations

from pathlib import Path

from serve.repository import publish
from serve.triton.names import MODEL
from serve.triton.portions import PORTION_CHARS
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
_BUSY_TEXT = """
import time

from serve.triton.model import TritonPythonModel as Ours


class TritonPythonModel(Ours):
    def initialize(self, args):
        super().initialize(args)
        tag = self._tagger.tag

        def tag_busily(texts):
            end = time.monotonic() + {seconds} * (sum(map(len, texts)) > {chars})
            while time.monotonic() < end:
                pass
            return tag(texts)

        self._tagger.tag = tag_busily
"""
TEXT_S = 2.5e-3
PORTION_S = 1.0


def publish_slow(bundle: Path, repository: Path) -> None:
    """Publish a model that takes `TEXT_S` more for each request, however they are batched."""
    statement = f"time.sleep({TEXT_S} * len(requests))"
    _publish(bundle, repository, _TEXT.format(statement=statement))


def publish_leaking(bundle: Path, repository: Path) -> None:
    """Publish a model that keeps 1,000 bytes of each request: 10 MB of 10,000 requests."""
    statement = "self.kept.extend(bytes([1]) * 1000 for _ in requests)"
    _publish(bundle, repository, _TEXT.format(statement=statement))


def publish_busy(bundle: Path, repository: Path) -> None:
    """Publish a model that computes for `PORTION_S` before each portion of long texts."""
    _publish(bundle, repository, _BUSY_TEXT.format(chars=PORTION_CHARS // 2, seconds=PORTION_S))


def _publish(bundle: Path, repository: Path, text: str) -> None:
    version = publish(bundle, repository)
    model = repository / MODEL / str(version) / MODEL_FILE
    model.write_text(text)

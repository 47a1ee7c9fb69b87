"""Lets the pipeline under test export each model once; nothing else of it is replaced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import export.pipeline
from tests.exported import exported


@pytest.fixture(autouse=True, scope="session")
def _pipeline_exports_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export.pipeline, "export_graph", exported)
        yield

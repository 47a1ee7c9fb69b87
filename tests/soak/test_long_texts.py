"""Tests a server that takes long over what merged: it is left alone, and works for who waits only.

Its model is ours, but that it computes for `PORTION_S` more before each portion.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.client import Policy, TritonTagger
from serve.entities import AnyTagger, Entity
from serve.errors import DeadlineError
from serve.limits import MAX_CHARS
from serve.supervisor.patience import Patience
from serve.supervisor.scrape import fetch
from serve.triton.processes import wait_until
from tests.soak.altered import PORTION_S, publish_busy
from tests.soak.supervised import Supervised, supervised

pytestmark = [pytest.mark.triton, pytest.mark.slow]
NUM_TEXTS = 16
LONG = [(f"{number} pumps " + 2_000 * "leaking hose ")[:MAX_CHARS] for number in range(NUM_TEXTS)]
"""Each is a portion by itself."""


@pytest.fixture(scope="module")
def busy(
    served_bundle: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    project = tmp_path_factory.mktemp("busy")
    publish_busy(served_bundle, project / "repository")
    with supervised(project / "repository", environment, project) as running:
        yield running


def ask_all(url: str, deadline_s: float) -> list[list[Entity] | None]:
    """Ask about each of the texts at once; None where the deadline passed."""
    policy = Policy(deadline_s=deadline_s)
    with TritonTagger(url, policy=policy) as client, ThreadPoolExecutor(NUM_TEXTS) as pool:

        def ask(text: str) -> list[Entity] | None:
            try:
                return client.tag([text])[0]
            except DeadlineError:
                return None

        return list(pool.map(ask, LONG))


def counted(url: str | None, name: str, **labels: str) -> float:
    """Return the sum of a server's counter."""
    assert url is not None
    families = text_string_to_metric_families(fetch(url, timeout_s=5.0))
    samples = [sample for family in families for sample in family.samples]
    matching = [sample for sample in samples if sample.name == name]
    return sum(s.value for s in matching if labels.items() <= s.labels.items())


def test_a_server_that_gets_on_with_its_work_is_left_alone_for_as_long_as_it_takes(
    busy: Supervised, embedded: AnyTagger
) -> None:
    assert Patience.busy_s < NUM_TEXTS * PORTION_S / 1.5
    before = busy.state(0)
    assert ask_all(busy.urls[0], deadline_s=120.0) == embedded.tag(LONG)
    assert busy.state(0) == before
    assert busy.replica(0).restarts == {}


def test_texts_of_callers_that_have_gone_are_not_tagged(busy: Supervised) -> None:
    busy.until_stable()
    metrics = busy.state(1).metrics_url
    rows = ask_all(busy.urls[1], deadline_s=2 * PORTION_S)
    assert rows.count(None) > NUM_TEXTS // 2

    def num_abandoned() -> float:
        return counted(metrics, "linetag_model_refusals_total", reason="abandoned")

    assert wait_until(lambda: num_abandoned() > 0, timeout_s=30.0)
    with TritonTagger(busy.urls[1], policy=Policy(deadline_s=30.0)) as client:
        client.tag(["pump"])  # after all that came before it
    assert wait_until(lambda: counted(metrics, "linetag_model_texts_total") > 0, timeout_s=5.0)
    characters = counted(metrics, "linetag_model_characters_total")
    assert characters < MAX_CHARS * NUM_TEXTS / 2

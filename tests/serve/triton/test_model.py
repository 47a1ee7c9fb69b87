"""Tests the model in a real Triton where one text of a batch cannot be answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.client import Policy, TritonTagger
from serve.errors import DataError, GraphError
from serve.repository import publish
from serve.server import start_triton
from serve.tagger import Tagger
from tests.serve.tiny import overflowing

pytestmark = pytest.mark.triton
GOOD, BAD = "replace pump", "replace valve"


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_text_whose_logits_are_not_finite_fails_alone(tmp_path: Path, environment: Path) -> None:
    bundle = overflowing(tmp_path / "bundle")
    embedded = Tagger.load(bundle)
    expected = embedded.tag([GOOD])
    with pytest.raises(GraphError, match="expected finite logits"):
        embedded.tag([BAD])
    publish(bundle, tmp_path / "repository")
    with (
        start_triton(tmp_path / "repository", environment=environment) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=20.0)) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        for _ in range(20):
            bad = pool.submit(client.tag, [BAD])
            good = [pool.submit(client.tag, [GOOD]) for _ in range(7)]
            assert [one.result() for one in good] == [expected] * 7
            with pytest.raises(DataError, match="expected finite logits, got NaN or infinity"):
                bad.result()
        with pytest.raises(DataError, match="expected finite logits"):
            client.tag([BAD])
        assert not client.dispatcher.stats.num_ejected, "the server is well"

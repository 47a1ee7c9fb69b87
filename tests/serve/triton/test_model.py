"""Tests the model in a real Triton where one text of a batch cannot be answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from benchmarks.triton import start_triton
from serve.client import Policy, TritonTagger
from serve.errors import DataError, GraphError
from serve.repository import publish
from serve.tagger import Tagger
from tests.serve.tiny import (
    MANY_B,
    PANICS_AT_MANY_B,
    overflowing,
    replace_file,
    tiny_tokenizer,
    write_bundle,
)

pytestmark = pytest.mark.triton
GOOD, BAD = "replace pump", "replace motor"


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


def test_a_text_that_the_tokenizer_panics_at_fails_alone(tmp_path: Path, environment: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    tokenizer = tiny_tokenizer()
    tokenizer.pre_tokenizer = Split(Regex(PANICS_AT_MANY_B), "isolated")
    replace_file(bundle, "tokenizer.json", tokenizer.to_str().encode())
    expected = Tagger.load(bundle).tag([GOOD])
    publish(bundle, tmp_path / "repository")
    with (
        start_triton(tmp_path / "repository", environment=environment) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=20.0)) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        for _ in range(5):
            bad = pool.submit(client.tag, [MANY_B])
            good = [pool.submit(client.tag, [GOOD]) for _ in range(7)]
            assert [one.result() for one in good] == [expected] * 7
            with pytest.raises(DataError, match=r"texts that the tokenizer takes, got .* at 'bbb"):
                bad.result()
        assert not client.dispatcher.stats.num_ejected, "the server is well"

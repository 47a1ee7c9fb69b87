"""Tests that the runtime can be told to take signed bundles only, and then takes no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.triton import start_triton
from export.signing import read_private_key, sign, write_key_pair
from serve.bundle import Bundle
from serve.client import Policy, TritonTagger
from serve.commands.publish import PublishConfig, run
from serve.errors import BundleError, ServerError
from serve.repository import promote, publish, traffic_of, versions
from serve.tagger import Tagger
from tests.serve.tiny import replace_file, tiny_graph


class NeverAsked:
    """A server that a refused step must not touch."""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the public key that belongs to `tmp_path / "key"`."""
    return write_key_pair(tmp_path / "key")


@pytest.fixture
def signed(bundle: Path, key: Path) -> Path:
    """Return a bundle signed with the key."""
    sign_with(key, bundle)
    return bundle


def sign_with(public_key: Path, bundle: Path) -> None:
    private = read_private_key(public_key.with_suffix(""))
    sign(bundle, (bundle / "manifest.json").read_bytes(), private)


def tampered(bundle: Path) -> Path:
    """Put another graph into a bundle, with a manifest that vouches for it."""
    replace_file(bundle, "model_fp32.onnx", tiny_graph(seed=9))
    return bundle


def test_a_signed_bundle_loads_with_its_key_and_without(signed: Path, key: Path) -> None:
    tags = Tagger.load(signed, public_key=key).tag(["fix pump"])
    assert tags == Tagger.load(signed, public_key=str(key)).tag(["fix pump"])
    assert tags == Tagger.load(signed).tag(["fix pump"])


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    other = write_key_pair(tmp_path / "other")
    message = r"manifest\.sig: expected a signature of the manifest by .*other\.pub, got one of an"
    with pytest.raises(BundleError, match=message):
        Tagger.load(signed, public_key=other)


def test_an_unsigned_bundle_is_refused(bundle: Path, key: Path) -> None:
    message = r"manifest\.sig: expected a signature by .*key\.pub, got No such file.*; sign it with"
    with pytest.raises(BundleError, match=message):
        Tagger.load(bundle, public_key=key)


def test_a_tampered_bundle_is_refused_however_well_it_is_sealed(signed: Path, key: Path) -> None:
    Bundle.load(tampered(signed))
    with pytest.raises(BundleError, match=r"manifest\.sig: expected a signature of the manifest"):
        Tagger.load(signed, public_key=key)


def test_the_signature_comes_before_the_content(signed: Path, key: Path) -> None:
    (signed / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match=r"manifest\.sig: expected a signature of the manifest"):
        Bundle.load(signed, public_key=key)


def test_a_key_that_is_named_but_not_there_is_refused(signed: Path, tmp_path: Path) -> None:
    for name in (tmp_path / "none", ""):
        with pytest.raises(BundleError, match="expected an Ed25519 key in PEM, got"):
            Tagger.load(signed, public_key=name)


def test_only_who_names_a_key_needs_cryptography(
    signed: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert Tagger.load(signed).tag([""]) == [[]]
    with pytest.raises(BundleError, match=r"key\.pub: expected the package .*\.\[sign\]"):
        Tagger.load(signed, public_key=key)


def test_a_repository_with_a_key_takes_signed_bundles_only(
    signed: Path, key: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    config = PublishConfig(bundle=signed, repository=repository, public_key=key)
    assert run(config) == 0
    assert publish(signed, repository) == 2
    assert (repository / "tagger" / "public_key.pem").read_bytes() == key.read_bytes()
    version = repository / "tagger" / "2"
    assert (version / "manifest.sig").read_bytes() == (signed / "manifest.sig").read_bytes()
    assert Tagger.load(version, public_key=key).tag([""]) == [[]]
    with pytest.raises(BundleError, match=r"bundle/manifest\.sig: expected a signature of the"):
        publish(tampered(signed), repository)
    (signed / "manifest.sig").unlink()
    with pytest.raises(BundleError, match=r"bundle/manifest\.sig: .*public_key\.pem, got No such"):
        publish(signed, repository)
    assert versions(repository) == [2]


def test_a_trial_that_was_replaced_and_sealed_is_not_promoted(
    signed: Path, key: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    publish(signed, repository, public_key=key)
    publish(signed, repository, share=0.1)
    tampered(repository / "tagger" / "2")
    with pytest.raises(BundleError, match="signature"):
        promote(repository)
    assert traffic_of(repository).stable == 1


def test_a_repository_keeps_its_key(signed: Path, key: Path, tmp_path: Path) -> None:
    repository, other = tmp_path / "repository", write_key_pair(tmp_path / "other")
    publish(signed, repository, public_key=key)
    sign_with(other, signed)
    message = r"public_key\.pem: expected the key .*other\.pub, got another; publish with that one"
    with pytest.raises(BundleError, match=message):
        publish(signed, repository, public_key=other)
    assert (repository / "tagger" / "public_key.pem").read_bytes() == key.read_bytes()
    assert versions(repository) == [1]


def test_a_new_key_is_refused_while_something_unsigned_goes_on_serving(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    publish(bundle, repository)
    sign_with(key, bundle)
    message = r"tagger/1: expected what goes on serving to be signed with .*key\.pub, got a version"
    for settings in ({"share": 0.1}, {"servers": [NeverAsked()]}):
        with pytest.raises(BundleError, match=message):
            publish(bundle, repository, public_key=key, **settings)
        assert versions(repository) == [1]
        assert not (repository / "tagger" / "public_key.pem").exists()
    assert publish(bundle, repository, public_key=key) == 2
    assert Tagger.load(repository / "tagger" / "2", public_key=key).tag([""]) == [[]]


def test_a_new_key_is_not_asked_for_by_a_publication_that_fails(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    """Or what serves could not be loaded again: it is not signed."""
    repository = tmp_path / "repository"
    publish(bundle, repository)
    (repository / "encoder" / "2").symlink_to("nowhere")
    sign_with(key, bundle)
    with pytest.raises(ServerError, match="encoder/2"):
        publish(bundle, repository, public_key=key)
    assert versions(repository) == [1]
    assert not (repository / "tagger" / "public_key.pem").exists()


def test_a_key_that_leads_nowhere_is_no_permission(signed: Path, tmp_path: Path) -> None:
    publish(signed, tmp_path)
    (tmp_path / "tagger" / "public_key.pem").symlink_to("nowhere")
    with pytest.raises(BundleError, match=r"public_key\.pem: expected an Ed25519 key in PEM, got"):
        publish(signed, tmp_path)


def test_a_bundle_that_is_refused_makes_no_repository(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"manifest\.sig: expected a signature by"):
        publish(bundle, tmp_path / "repository", public_key=key)
    assert not (tmp_path / "repository").exists()


@pytest.mark.triton
def test_triton_serves_the_signed_version_and_refuses_the_tampered(
    signed: Path, key: Path, environment: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    publish(signed, repository, public_key=key)
    with (
        start_triton(repository, environment=environment) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=10.0)) as client,
    ):
        assert client.tag(["fix pump"]) == Tagger.load(signed).tag(["fix pump"])
    tampered(repository / "tagger" / "1")
    message = r"BundleError: .*1/manifest\.sig: expected a signature of the manifest by .*; sign it"
    with pytest.raises(ServerError, match=message) as caught:
        start_triton(repository, environment=environment)
    assert "\n" not in str(caught.value)

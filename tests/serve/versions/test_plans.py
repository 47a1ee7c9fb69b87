"""Tests that a version's TensorRT plan comes, is kept and goes with it, and is of its own graph."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve.bundle import sha256
from serve.encoder_graph import TENSORRT_GRAPH
from serve.errors import BundleError
from serve.repository import promote, publish, rollback, settle, versions
from serve.versions.folders import versions_in
from tests.serve.tiny import add_tensorrt_graph, write_bundle


def planned(folder: Path, seed: int) -> tuple[Path, Path]:
    """Return a bundle, and what `build.sh` would build from it."""
    bundle = write_bundle(folder / f"bundle-{seed}")
    add_tensorrt_graph(bundle, seed=seed)
    plan = folder / f"engines-{seed}" / "model.plan"
    plan.parent.mkdir()
    plan.write_bytes(f"plan {seed}".encode())
    digest = sha256((bundle / TENSORRT_GRAPH).read_bytes())
    plan.with_name("model.plan.graph").write_text(f"{digest}  -\n")  # as sha256sum writes
    return bundle, plan


def plans(repository: Path) -> dict[int, str]:
    """Return the plan of each version that a server of the plans finds."""
    encoder = repository / "encoder"
    assert (encoder / "configs" / "trt.pbtxt").exists()
    assert versions_in(encoder) == versions(repository)
    return {n: (encoder / str(n) / "model.plan").read_text() for n in versions_in(encoder)}


def test_every_version_that_serves_has_its_own_plan_after_each_step(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (first, first_plan), (second, second_plan) = (planned(tmp_path, seed) for seed in (1, 2))
    publish(first, repository, plan=first_plan)
    assert plans(repository) == {1: "plan 1"}
    publish(second, repository, plan=second_plan, share=0.5)
    assert plans(repository) == {1: "plan 1", 2: "plan 2"}
    promote(repository)
    assert plans(repository) == {2: "plan 2"}
    rollback(repository)
    assert plans(repository) == {3: "plan 1"}
    for path in (first_plan, second_plan):
        path.unlink()
    settle(repository)
    assert plans(repository) == {3: "plan 1"}


def test_a_version_goes_without_a_plan_unless_one_is_named(tmp_path: Path) -> None:
    bundle, plan = planned(tmp_path, 1)
    (bundle / "model.plan").write_bytes(plan.read_bytes())  # nobody has said that it is to be run
    publish(bundle, tmp_path / "repository")
    assert not list((tmp_path / "repository").rglob("*.plan"))


def test_a_plan_of_another_graph_or_of_who_knows_which_is_refused(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    bundle, plan = planned(tmp_path, 1)
    _, other = planned(tmp_path, 2)
    plain = write_bundle(tmp_path / "plain")
    with pytest.raises(BundleError, match=r"engines-2/model\.plan: expected a plan of .*, got one"):
        publish(bundle, repository, plan=other)
    with pytest.raises(BundleError, match=r"plain: expected a graph for TensorRT .* --tensorrt"):
        publish(plain, repository, plan=plan)
    plan.with_name("model.plan.graph").unlink()
    with pytest.raises(
        BundleError, match=r"model\.plan\.graph: expected .*build\.sh wrote, got No such"
    ):
        publish(bundle, repository, plan=plan)
    assert not repository.exists()


def test_a_link_is_no_plan(tmp_path: Path) -> None:
    bundle, plan = planned(tmp_path, 1)
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    for link in (os.symlink, os.link):
        plan.unlink()
        link(secret, plan)
        with pytest.raises(BundleError, match=r"model\.plan: expected .* got a .*link"):
            publish(bundle, tmp_path / "repository", plan=plan)
    assert not (tmp_path / "repository").exists()


def test_a_version_whose_plan_was_replaced_by_a_link_keeps_no_other_from_serving(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "repository"
    bundle, plan = planned(tmp_path, 1)
    publish(bundle, repository, plan=plan)
    publish(bundle, repository, plan=plan, share=0.5)
    kept = repository / "tagger" / "2" / "model.plan"
    kept.unlink()
    kept.symlink_to(plan)
    for version in ("1", "2"):
        (repository / "encoder" / version / "model.onnx").unlink()  # or they are made already
    settle(repository)
    assert versions_in(repository / "encoder") == [1]


def test_a_kept_plan_that_will_not_do_is_told_with_the_way_back(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for seed in (1, 2):
        bundle, plan = planned(tmp_path, seed)
        publish(bundle, repository, plan=plan, share=1.0)
    kept = repository / "tagger" / "kept" / "1"
    os.link(kept / "model.plan", tmp_path / "backup")
    with pytest.raises(BundleError, match=r"got a file with 2 names.*; publish a bundle") as caught:
        rollback(repository)
    assert str(caught.value).startswith(f"{kept}: expected a sound version, got ")

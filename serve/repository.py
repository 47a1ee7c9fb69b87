"""Owns the steps by which versions of the tagger come to serve; see `serve.versions`.

Steps of one repository wait for each other. Each takes hold by a line in the history: what has to
lie on the disk and to run is there before, and what is to go goes after. So a step that dies leaves
what served before it, or what serves after it, and the next one tidies up.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from serve.errors import EndedError, ServerError, needing
from serve.files import locked
from serve.triton.names import MODEL
from serve.versions.content import (
    agreed_key,
    check_pinnable,
    check_version,
    fill,
    pin_key,
)
from serve.versions.damage import check_again, set_aside
from serve.versions.earlier import earlier
from serve.versions.folders import (
    KEPT,
    highest_number,
    put,
    staged,
    version_folder,
    write_missing,
)
from serve.versions.history import Step, read_events
from serve.versions.plans import check_plan, plan_of
from serve.versions.settling import (
    NUM_KEPT,
    agree,
    refuse,
    settle,
    settle_encoders,
    settle_locked,
    traffic_of,
    versions,
    writing,
)
from serve.versions.traffic import Traffic

if TYPE_CHECKING:
    from serve.versions.servers import Running

__all__ = ["promote", "publish", "rollback", "settle", "traffic_of", "versions"]
HEARD_S = 2.5
"""Until every client at work has asked which versions there are: they ask each second."""
_NO_TRIAL = "put its files back, or publish with --promote, which replaces it"


def publish(
    bundle: Path,
    repository: Path,
    *,
    public_key: Path | None = None,
    plan: Path | None = None,
    share: float = 1.0,
    servers: Collection[Running] = (),
    heard_s: float = HEARD_S,
) -> int:
    """Put a bundle into a model repository as the next version of the tagger.

    It is checked, loaded beside the version that serves and warmed up before anybody asks for it.

    Args:
        bundle: The bundle's folder.
        repository: The repository; made where missing.
        public_key: File of the key that must have signed what the repository serves, from now on;
            None for the key that is there, if any.
        plan: A TensorRT plan of its graph, see `serve.versions.plans`; None for none.
        share: Share of callers that get the new version; with 1 it serves, and the old one is kept.
            The first version of a repository serves in any case.
        servers: Those that serve the repository.
        heard_s: How long callers have to hear of it before an old version is unloaded.

    Returns:
        The version.

    Raises:
        BundleError: If the bundle is missing, damaged or not signed with the key asked for, or the
            plan is another's, or the repository has another key, or what goes on serving is damaged
            or not signed with a key that is new; the repository is as before.
        ServerError: If the repository cannot be written, has a version on trial, or a server cannot
            load the new one; the versions that serve are as before.
        ValueError: If the share is not in [0, 1].
    """
    _check_share(share)
    digest = check_version(bundle, agreed_key(repository, public_key))
    check_plan(plan, bundle)
    with writing(repository):
        (repository / MODEL).mkdir(parents=True, exist_ok=True)
    with _opened(repository, servers) as before:
        check_no_trial(repository, before)
        # A server loads the old versions anew with the new one; without, only a trial needs them.
        needed = before.served if servers or share < 1 else ()
        check_pinnable(repository, public_key, needed)
        if servers and before.stable and share < 1:
            check_again(version_folder(repository, before.stable), None, _NO_TRIAL)
        version = _add(repository, bundle, digest, public_key, plan)
        after = _given(before, version, share if before.stable else 1.0)
        if needed:
            pin_key(repository, public_key)
        _introduce(repository, Step.PUBLISH, version, before, after, servers)
        pin_key(repository, public_key)  # not before: what served until now may lack a signature
        _retire(repository, before, after, servers, heard_s)
    return version


def check_no_trial(repository: Path, traffic: Traffic) -> None:
    """Refuse a repository that tries a version already: there is one trial at a time.

    Raises:
        ServerError: If it does.
    """
    if traffic.canary:
        raise ServerError(
            f"{repository / MODEL}: expected no version on trial, got {traffic.canary}; "
            "promote it or roll it back first"
        )


def promote(repository: Path, *, share: float = 1.0, servers: Collection[Running] = ()) -> int:
    """Give the version on trial to all callers, or to more of them; return it.

    Args:
        repository: The repository.
        share: Share of callers that get it; at least as large as now, so that none goes back.
        servers: Those that serve the repository.

    Raises:
        BundleError: If its files were damaged since it was published; all is as before.
        ServerError: If there is none on trial, more callers have it already, or the repository
            cannot be written. If a server cannot be told to drop the old version; the new one
            serves all the same.
        ValueError: If the share is not in [0, 1].
    """
    _check_share(share)
    with _opened(repository, servers) as before:
        if not before.canary:
            remedy = "publish a bundle with python -m serve publish"
            if before.stable:
                remedy = f"version {before.stable} serves all callers already"
            raise ServerError(
                f"{repository / MODEL}: expected a version on trial, got none; {remedy}"
            )
        if share < before.share:
            raise ServerError(
                f"expected a share of at least {before.share:g}, which version {before.canary} "
                f"has, got {share:g}; python -m serve rollback takes it from all"
            )
        check_again(
            version_folder(repository, before.canary),
            agreed_key(repository, None),
            "python -m serve rollback takes it from all callers",
        )
        after = _given(before, before.canary, share)
        agree(repository, Step.PROMOTE, before.canary, after)
        _retire(repository, before, after, servers, HEARD_S)
    return before.canary


def rollback(
    repository: Path, *, servers: Collection[Running] = (), heard_s: float = HEARD_S
) -> int:
    """Take the version on trial from all callers, or else go back to the version before.

    What serves then is the old bundle under a new number: Triton gives the highest one to whoever
    names none, and no caller ever sees numbers go back. The version that is left is not kept. Kept
    versions whose folders are gone are passed over.

    Returns:
        The new version.

    Raises:
        BundleError: If the version to go back to is damaged.
        ServerError: If there is none, or a server cannot load it; all is as before then. One that
            ends meanwhile hinders nothing: the version it goes back to may be its cure.
    """
    with _opened(repository, servers) as before:
        old, kept, remedy = earlier(repository, before)
        check_again(old, agreed_key(repository, None), remedy)
        digest = check_version(old, agreed_key(repository, None))
        version = _add(repository, old, digest, None, plan_of(old))
        after = Traffic(stable=version, kept=kept)
        note = f"{old.name} again"
        _introduce(repository, Step.ROLLBACK, version, before, after, servers, note)
        _retire(repository, before, after, servers, heard_s)
    return version


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share in [0, 1] of callers, got {share}")


@contextlib.contextmanager
def _opened(repository: Path, servers: Collection[Running]) -> Iterator[Traffic]:
    """Hold a repository while a step is taken; give what holds before."""
    if not (repository / MODEL).is_dir():
        raise ServerError(
            f"{repository / MODEL}: expected a published version, got no folder; "
            "publish a bundle with python -m serve publish"
        )
    with writing(repository), locked(repository):
        if settle_locked(repository):
            _unload(servers)
        len(servers)  # one that cannot be told is told of now, before anything holds
        yield traffic_of(repository)


def _given(before: Traffic, version: int, share: float) -> Traffic:
    """Return what holds when a version gets a share of callers."""
    if share < 1:
        return Traffic(stable=before.stable, canary=version, share=share, kept=before.kept)
    old = [before.stable] if before.stable else []
    return Traffic(stable=version, kept=(*old, *before.kept)[:NUM_KEPT])


def _add(
    repository: Path, bundle: Path, digest: str, public_key: Path | None, plan: Path | None
) -> int:
    """Write a version, and give it its number."""
    model = repository / MODEL
    with needing("the package tritonclient", "triton"):
        from serve.triton.config import config_texts, is_outdated
    write_missing(model, config_texts(), is_outdated)
    with staged(model) as staging:
        fill(staging, bundle, digest, agreed_key(repository, public_key), plan)
        known = [event.version for event in read_events(repository)]
        version = 1 + max(highest_number(model), highest_number(model / KEPT), *known, 0)
        put(staging, version_folder(repository, version))
    return version


def _introduce(
    repository: Path,
    step: Step,
    version: int,
    before: Traffic,
    after: Traffic,
    servers: Collection[Running],
    note: str = "",
) -> None:
    """Load and warm up a version everywhere, then agree on it; or refuse it: all is as before."""
    # What is new may be what a server died of; what served before is rather the cure.
    endured = [EndedError] if step is Step.ROLLBACK else []
    try:
        settle_encoders(repository, (*before.served, version))
        leaving = [old for old in before.served if old not in after.served]
        with set_aside(repository, leaving if servers else ()):
            for server in servers:
                with contextlib.suppress(*endured):
                    server.load()
                    server.warm_up(version_folder(repository, version), str(version))
            agree(repository, step, version, after, note)
    except BaseException as error:
        try:
            refuse(repository, version, before, str(error) or type(error).__name__)
        finally:  # though the line could not be written: no server keeps what is not agreed
            settle_encoders(repository, before.served)
            with contextlib.suppress(ServerError):  # the first error is the one to tell
                _unload(servers)
        raise


def _retire(
    repository: Path, before: Traffic, after: Traffic, servers: Collection[Running], heard_s: float
) -> None:
    """Unload what nobody asks for any more, once callers had time to hear of it."""
    if set(before.served) <= set(after.served):
        return
    try:
        if servers:
            time.sleep(heard_s)
        settle_locked(repository)
        _unload(servers)
    except (OSError, ServerError) as error:
        raise ServerError(
            f"{repository / MODEL}: version {after.stable} serves; expected to tidy up what served "
            f"before, got {error}; the next step does"
        ) from error


def _unload(servers: Collection[Running]) -> None:
    for server in servers:
        with contextlib.suppress(EndedError):
            server.unload()

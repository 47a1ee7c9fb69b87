"""Owns the order of a refit: champion, new lines, challenger, contest, decision.

What comes of it is put together beside its place and renamed into it at the end, so that there is a
whole decision or none. The champion is read only.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from serve.files import replacing, write_durably
from serve.repository import check_no_trial, traffic_of
from train.config import state_path
from train.flags.new_folder import check_new
from train.loop.processes import check_one_process
from train.loop.state import clear, holding
from train.model.checkpoint import check_events, check_outside
from train.pipeline import Fitted, fit_corpus, write_fitted
from train.record import split_json
from train.refit.agreement import doubt
from train.refit.champion import Champion, find_champion
from train.refit.config import EPOCHS, RefitConfig
from train.refit.contest import contend
from train.refit.decision import DECISION, Decision, encoded
from train.refit.gate import judge
from train.refit.intake import read_new
from train.refit.mixture import Mixture, mix
from train.refit.successor import export_bundle, publish_bundle

CHECKPOINT, BUNDLE = "checkpoint", "bundle"

logger = logging.getLogger(__name__)


def refit(config: RefitConfig) -> Decision:
    """Train a challenger, compare it with the champion, and write down what is decided.

    Returns:
        The decision; the challenger's checkpoint and bundle lie beside it where it is accepted.

    Raises:
        TaggingError: If this is one of several processes, the champion or the new lines cannot be
            used, the repository to publish into tries a version, or the accepted challenger cannot
            be exported; nothing is written then.
    """
    check_one_process("a refit is small")
    output = config.training.output
    check_new(output)
    check_events(output, config.training.tensorboard)
    champion = find_champion(config.champion, config.checkpoint)
    check_outside(output, (config.champion, champion.checkpoint), "the champion")
    if config.publish:
        check_no_trial(config.publish, traffic_of(config.publish))
    with holding(output):
        return _decided(config, champion)


def published(decision: Decision) -> Decision:
    """Publish an accepted challenger where that is asked for, and write down as which version.

    Raises:
        TaggingError: If the repository does not take it.
    """
    config = decision.config
    if not (decision.verdict.accepted and config.publish):
        return decision
    output = config.training.output
    decision = replace(decision, published=publish_bundle(output / BUNDLE, config.publish))
    write_durably(output / DECISION, encoded(decision.to_json()))
    return decision


def _decided(config: RefitConfig, champion: Champion) -> Decision:
    """Train, compare and write what is decided."""
    output = config.training.output
    new = read_new(config.new, config.training, champion.trained.tags)
    mixture = mix(champion, new, replay=config.replay, seed=config.training.seed)
    _say(mixture, len(new.set_aside))
    training = replace(
        config.training,
        model=str(champion.checkpoint),
        decoder=champion.decoder,
        epochs=config.training.epochs or EPOCHS,
    )
    fitted = fit_corpus(training, mixture.corpus)
    assert fitted is not None  # this is the only process
    asked = contend(champion.trained.tagger(), fitted.tagger(), mixture, new, config.rule)
    doubts = [*filter(None, (doubt(one, asked.old) for one in asked.slices))]
    verdict = judge(asked.contest, config.rule, doubts)
    decision = Decision(config, champion, new, mixture.counts, asked, verdict, fitted.record)
    with replacing(output) as staging:
        if verdict.accepted:
            _write_challenger(staging, fitted, mixture, decision)
            export_bundle(staging, CHECKPOINT, BUNDLE, champion.bundle.manifest)
        decision.write(staging)
    clear(state_path(output))
    return decision


def _write_challenger(folder: Path, fitted: Fitted, mixture: Mixture, decision: Decision) -> None:
    corpus = replace(mixture.corpus, test=mixture.test)
    test = split_json(mixture.test, corpus.tags.labels)
    data = fitted.record["data"] | {"test": test}
    record = fitted.record | {"data": data, "refit": decision.summary()}
    write_fitted(folder / CHECKPOINT, replace(fitted, record=record), corpus, mixture.pool)


def _say(mixture: Mixture, num_set_aside: int) -> None:
    counts = mixture.counts
    logger.info(
        "new lines: %d train, %d dev, %d test; %d left out, %d set aside with errors; "
        "learnt again: %d of %d old",
        counts.num_new_train, counts.num_new_dev, counts.num_new_test, counts.num_left_out,
        num_set_aside, counts.num_replay, counts.num_old_train,
    )  # fmt: skip
    if counts.num_old_test_left_out:
        logger.warning(
            "warning: %d of %d old test lines left out: the champion was trained on their text "
            "or chosen by it",
            counts.num_old_test_left_out, counts.num_old_test_left_out + counts.num_old_test,
        )  # fmt: skip
    if counts.num_conflicts:
        logger.warning(
            "warning: %d of %d new train lines that are old ones too are labelled otherwise now",
            counts.num_conflicts, counts.num_repeated,
        )  # fmt: skip

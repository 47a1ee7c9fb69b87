"""Owns the order of a curve: which runs are missing, each of them, and what they pick next."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from serve.bundle import sha256
from serve.errors import DataError
from serve.tagger import Tagger
from train.config import TrainConfig
from train.corpus.data import Corpus, read_corpus
from train.curve.config import CurveConfig, Pick, Strategy
from train.curve.draw import drawn_rows, part_of
from train.curve.runs import Point, Run, RunsFile
from train.loop.alone import alone_in
from train.loop.fit import best_epoch
from train.loop.processes import check_one_process
from train.model.base import find_base
from train.pipeline import Fitted, fit_corpus
from train.record import settings_json, start_digest
from train.scores.evaluate import entity_f1
from train.selection.choose import choose
from train.selection.embedding import embed
from train.trained.lines import warn_of_known_lines

RUNS = "runs.jsonl"
_NEVER_S = math.inf  # a run that is cut short begins again; its state would only cost time

logger = logging.getLogger(__name__)


def run_curve(config: CurveConfig) -> list[Run]:
    """Make the runs that are missing and return all that were asked for, by strategy and size.

    Raises:
        DataError: If a data file is not as expected, or the file of runs is of other ones.
        CheckpointError: If the base model cannot be used, the folder not be written, or another
            curve is being drawn there.
        TaggingError: If this is one of several processes, or a run fails.
    """
    check_one_process("a curve's runs are small")
    logger.setLevel(logging.INFO)  # whatever training says or not
    corpus = read_corpus(config.strategies[0].training)
    if config.score_test and corpus.test is None:
        raise DataError("--score-test: expected test lines, got none; name them with --test")
    made_of = {s.name: _made_of(s.training, corpus) for s in config.strategies}
    for model in dict.fromkeys(s.training.model for s in config.strategies):
        warn_of_known_lines(find_base(model).folder, corpus)
    tested_on = _digest(corpus.test.examples) if corpus.test else None
    num_all = len(corpus.train.examples)
    sizes = sizes_of(config.sizes, num_all)
    if not sizes:
        raise DataError(f"--sizes: expected at least one of up to {num_all} lines, got none")
    if larger := [str(size) for size in config.sizes if size and size > num_all]:
        text = "warning: sizes left out, train has %d lines: %s"
        logger.warning(text, num_all, ", ".join(larger))
    series = [(s, p, d) for s in config.strategies for p in config.picks
              for d in range(1, config.draws + 1)]  # fmt: skip
    with (
        alone_in(config.folder, "--curve"),
        tqdm(total=len(series) * len(sizes), unit="run", disable=None) as bar,
    ):
        file = RunsFile(config.folder / RUNS, made_of)
        for strategy, pick, draw in series:
            job = _Series(strategy, pick, draw, corpus, file, made_of[strategy.name], tested_on)
            for size, following in zip(sizes, [*sizes[1:], 0], strict=True):
                job.run(size, following, score_test=config.score_test)
                bar.update()
    return [
        _without_other_test(file.runs[Point(strategy.name, pick, size, draw)], tested_on)
        for strategy, pick, draw in series
        for size in sizes
    ]


def sizes_of(sizes: Sequence[int | None], num_all: int) -> list[int]:
    """Return the sizes that a corpus has lines for, rising, each once."""
    return sorted({num_all if size is None else size for size in sizes if (size or 0) <= num_all})


@dataclass(slots=True)
class _Series:
    """The runs of one strategy, pick and draw, from the smallest size on."""

    strategy: Strategy
    pick: Pick
    draw: int
    corpus: Corpus
    file: RunsFile
    made_of: str
    tested_on: str | None
    rows: list[int] = field(default_factory=list)

    def run(self, size: int, following: int, *, score_test: bool) -> None:
        """Make the run of a size unless there is one that serves, and pick lines for the next."""
        num_next = following - size if self.pick is Pick.SELECT and following else 0
        if self.pick is Pick.RANDOM or not self.rows:
            self.rows = drawn_rows(len(self.corpus.train.examples), size, self.draw)
        point = Point(self.strategy.name, self.pick, size, self.draw)
        run = self.file.runs.get(point)
        if run is None or not self._serves(run, num_next, score_test=score_test):
            run = self._made(point, num_next, score_test=score_test)
            self.file.add(run)
            logger.info(
                "%s, %s, %d lines, draw %d: dev F1 %.4f (%.0f s)",
                *astuple(point), run.dev_f1, run.training_s,
            )  # fmt: skip
        self.rows = [*self.rows, *run.next_rows]

    def _serves(self, run: Run, num_next: int, *, score_test: bool) -> bool:
        """Tell whether a run of these lines and settings is the very one that would be made."""
        is_tested = run.tested_on == self.tested_on or not score_test
        return is_tested and run.trained_on == _digest(self.rows) and len(run.next_rows) == num_next

    def _made(self, point: Point, num_next: int, *, score_test: bool) -> Run:
        part = part_of(self.corpus, self.rows)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, _only_warnings():
            config = replace(
                self.strategy.training, seed=self.draw, output=Path(folder) / "checkpoint",
                save_every_s=_NEVER_S, resume=False,
            )  # fmt: skip
            fitted = fit_corpus(config, part)
        assert fitted is not None  # this is the only process
        training_s = time.monotonic() - started
        tagger = fitted.tagger()
        test = self.corpus.test.examples if score_test and self.corpus.test else None
        texts = [example.text for example in part.train.examples]
        return Run(
            **asdict(point),
            num_words=sum(len(text.offsets) for text in fitted.encoder.encode(texts)),
            num_spans=part.train.labels.total(),
            dev_f1=best_epoch(fitted.history).score,
            test_f1=entity_f1(tagger, test) if test else None,
            num_epochs=len(fitted.history),
            training_s=round(training_s, 2),
            next_rows=self._picked(fitted, tagger, num_next) if num_next else [],
            made_of=self.made_of,
            trained_on=_digest(self.rows),
            tested_on=self.tested_on if test else None,
        )

    def _picked(self, fitted: Fitted, tagger: Tagger, num: int) -> list[int]:
        """Return the rows that the model picks, as if nobody had labelled them."""
        texts = [example.text for example in self.corpus.train.examples]
        labelled = set(self.rows)
        pool = [row for row in range(len(texts)) if row not in labelled]
        vectors = embed(fitted.model, fitted.encoder, texts)
        chosen = choose(
            tagger,
            [texts[row] for row in pool],
            vectors[pool],
            vectors[self.rows],
            num,
        )
        return [pool[choice.row] for choice in chosen]


def _made_of(config: TrainConfig, corpus: Corpus) -> str:
    settings = {k: v for k, v in settings_json(config).items() if k != "seed"}
    return start_digest(settings, corpus, find_base(config.model))


def _digest(value: object) -> str:
    return sha256(repr(value).encode())


def _without_other_test(run: Run, tested_on: str | None) -> Run:
    """Return a run without its test F1 where that is of other lines than are test lines now."""
    if run.tested_on == tested_on:
        return run
    return replace(run, test_f1=None, tested_on=None)


@contextmanager
def _only_warnings() -> Iterator[None]:
    """Keep what training says of each epoch to itself."""
    training = logging.getLogger("train")
    level = training.level
    training.setLevel(logging.WARNING)
    try:
        yield
    finally:
        training.setLevel(level)

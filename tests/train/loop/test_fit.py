import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from serve.errors import CheckpointError, TaggingError
from train.config import Arithmetic, Schedule, TrainConfig
from train.corpus.data import read_corpus
from train.loop.device import has_bf16
from train.loop.fit import Fit, best_epoch
from train.loop.interrupts import held
from train.loop.processes import Processes
from train.loop.progress import Progress
from train.loop.schedule import rate_at
from train.loop.state import Epoch, load_state
from train.model.base import find_base
from train.model.method import prepare
from train.task.collate import TrainingBatch
from train.task.material import gold_material
from train.task.objective import Learner
from train.task.tagging import tagging_plan, tagging_task

CONFIG = TrainConfig(epochs=4, batch_size=40, learning_rate=1e-2, save_every_s=0)
RESUMED = replace(CONFIG, resume=True)
Collate = Callable[[Sequence[int]], TrainingBatch]


class Run:
    """A tiny training run whose dev F1 comes from a script, not from a model."""

    def __init__(
        self, base: Path, data: Path, scores: list[float], config: TrainConfig, state: Path
    ) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self.epochs: list[Epoch] = []
        self.shares: list[float] = []
        self._scores = iter(scores)
        corpus = read_corpus(replace(config, data=data))
        found = find_base(str(base))
        torch.manual_seed(0)
        self.model = found.load_model(corpus.tags)
        material = gold_material(config, corpus, found.encoder())
        self.learner = Learner(prepare(self.model, config), material.objective)
        task = tagging_task(config, corpus, material, found, self.learner)
        self.task = replace(task, score=self._score)
        self.plan = replace(tagging_plan(config, len(material.windows), "this run"), state=state)

    def fit(self) -> tuple[Epoch, ...]:
        progress = Progress("dev F1", on_epoch=self._heard)
        return Fit(self.task, self.plan, Processes(), progress).run()

    def _heard(self, epoch: Epoch, share: float) -> None:
        self.epochs.append(epoch)
        self.shares.append(share)

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def _score(self) -> float:
        self.seen.append(self.weights())
        if (score := next(self._scores, None)) is None:
            raise KeyboardInterrupt
        return score


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny base with dropout, whose chance a resumed run has to repeat."""
    folder = Path(shutil.copytree(tiny_base, tmp_path_factory.mktemp("dropout") / "base"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "out" / "x.resume.safetensors"


@pytest.fixture(autouse=True)
def _same_chance_after() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_loss_falls_and_a_seed_repeats_itself(
    base: Path, tiny_data: Path, tmp_path: Path
) -> None:
    scores = [0.1, 0.2, 0.3, 0.4]
    runs = [Run(base, tiny_data, scores, CONFIG, tmp_path / f"{i}") for i in range(2)]
    histories = [run.fit() for run in runs]
    losses = [epoch.loss for epoch in histories[0]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert histories[0] == histories[1]
    assert equal(runs[0].weights(), runs[1].weights())


def test_another_seed_gives_another_model(base: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1)
    path = tmp_path / "state"
    runs = [Run(base, tiny_data, [0.1], replace(config, seed=seed), path) for seed in (1, 2)]
    for run in runs:
        run.fit()
    assert not equal(runs[0].weights(), runs[1].weights())


def test_training_stops_when_dev_f1_does_and_the_best_weights_stay(
    base: Path, tiny_data: Path, state: Path
) -> None:
    config = replace(CONFIG, epochs=9, patience=2)
    run = Run(base, tiny_data, [0.5, 0.9, 0.9, 0.6], config, state)
    history = run.fit()
    assert [epoch.score for epoch in history] == [0.5, 0.9, 0.9, 0.6]
    assert tuple(run.epochs) == history
    assert run.shares == pytest.approx([1 / 9, 2 / 9, 3 / 9, 4 / 9])
    assert equal(run.weights(), run.seen[1])
    assert not equal(run.weights(), run.seen[3])


def test_patience_waits_for_the_first_dev_f1_above_zero(
    base: Path, tiny_data: Path, state: Path
) -> None:
    scores = [0.0, 0.0, 0.0, 0.3, 0.2, 0.1]
    run = Run(base, tiny_data, scores, replace(CONFIG, epochs=9, patience=2), state)
    assert [epoch.score for epoch in run.fit()] == scores
    assert equal(run.weights(), run.seen[3])


def test_a_run_that_finds_nothing_keeps_its_last_epoch(
    base: Path, tiny_data: Path, state: Path
) -> None:
    run = Run(base, tiny_data, [0.0] * 4, replace(CONFIG, patience=1), state)
    assert len(run.fit()) == 4
    assert equal(run.weights(), run.seen[3])


def test_a_resumed_run_ends_like_one_never_interrupted(
    base: Path, tiny_data: Path, state: Path, tmp_path: Path
) -> None:
    scores = [0.2, 0.5, 0.4, 0.3]
    whole = Run(base, tiny_data, scores, CONFIG, tmp_path / "whole")
    history = whole.fit()
    broken = Run(base, tiny_data, scores[:2], replace(CONFIG, save_every_s=1e6), state)
    with pytest.raises(KeyboardInterrupt):
        broken.fit()
    resumed = Run(base, tiny_data, scores[2:], RESUMED, state)
    assert resumed.fit() == history
    assert equal(resumed.weights(), whole.weights())
    assert equal(resumed.seen[-1], whole.seen[-1])


@pytest.mark.parametrize("num_steps", [1, 5, 7, 13])
def test_a_run_that_died_within_an_epoch_resumes_to_the_same_weights(
    base: Path, tiny_data: Path, state: Path, tmp_path: Path, num_steps: int
) -> None:
    scores = [0.2, 0.5, 0.4, 0.3]
    whole = Run(base, tiny_data, scores, CONFIG, tmp_path / "whole")
    history = whole.fit()
    broken = Run(base, tiny_data, scores, CONFIG, state)
    broken.task = replace(broken.task, collate=dying_after(num_steps, broken.task.collate))
    with pytest.raises(MemoryError):
        broken.fit()
    resumed = Run(base, tiny_data, scores[len(broken.epochs) :], RESUMED, state)
    with watched_steps() as steps:
        assert resumed.fit() == history
    assert len(steps) == 20 - num_steps
    assert equal(resumed.weights(), whole.weights())


def dying_after(num_calls: int, collate: Collate) -> Collate:
    calls = count(1)

    def dying(rows: Sequence[int]) -> TrainingBatch:
        if next(calls) > num_calls:
            raise MemoryError
        return collate(rows)

    return dying


def test_an_interruption_between_gradients_and_weights_saves_nothing_inconsistent(
    base: Path, tiny_data: Path, state: Path
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, save_every_s=1e6), state)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    run.task.optimizer.register_step_post_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert not state.exists()


def test_ctrl_c_waits_for_the_end_of_a_step_and_what_it_did_is_saved(
    base: Path, tiny_data: Path, state: Path
) -> None:
    config = replace(CONFIG, save_every_s=1e6)
    whole = Run(base, tiny_data, [0.5, 0.6, 0.7, 0.8], config, state)
    history = whole.fit()
    run = Run(base, tiny_data, [0.5, 0.6, 0.7, 0.8], config, state)
    num_steps = 0

    def press(*_: object) -> None:
        nonlocal num_steps
        num_steps += 1
        if num_steps == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run.task.optimizer.register_step_post_hook(press)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert num_steps == 2
    left = load_state(state, "this run")
    assert left is not None
    assert left.underway.num_steps == 2
    resumed = Run(base, tiny_data, [0.5, 0.6, 0.7, 0.8], replace(config, resume=True), state)
    assert resumed.fit() == history
    assert equal(resumed.weights(), whole.weights())


def test_a_second_ctrl_c_does_not_wait() -> None:
    waited = []

    def press_twice() -> None:
        with held():
            for number in (1, 2):
                signal.raise_signal(signal.SIGINT)
                waited.append(number)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert waited == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_between_two_savings_lies_the_time_asked_for(
    base: Path, tiny_data: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, saved = count(), []
    monkeypatch.setattr("train.loop.fit.time.monotonic", lambda: next(seconds))
    monkeypatch.setattr(
        "train.loop.fit.save_state", lambda _, saved_state: saved.append(saved_state)
    )
    Run(base, tiny_data, [0.1] * 4, replace(CONFIG, save_every_s=5), state).fit()
    # One look at the clock a step, one an epoch, one a saving: each is a second here.
    steps = [5 * len(done.history) + done.underway.num_steps for done in saved]
    assert steps == [5, 9, 13, 17, 20], "and at the end"


@pytest.mark.parametrize("num_parts", [2, 3, 50])
def test_a_step_in_parts_is_the_same_step(
    tiny_base: Path, tiny_data: Path, tmp_path: Path, num_parts: int
) -> None:
    config = replace(CONFIG, epochs=2, arithmetic=Arithmetic.FP32)
    whole = Run(tiny_base, tiny_data, [0.1, 0.2], config, tmp_path / "whole")
    in_parts = Run(
        tiny_base, tiny_data, [0.1, 0.2], replace(config, accumulate=num_parts), tmp_path / "parts"
    )
    histories = [run.fit() for run in (whole, in_parts)]
    for one, other in zip(*histories, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
    for name, tensor in whole.weights().items():
        torch.testing.assert_close(in_parts.weights()[name], tensor, rtol=1e-3, atol=1e-4)


def test_recomputed_layers_give_the_same_weights(
    base: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    runs = [
        Run(base, tiny_data, [0.1], replace(config, checkpoint_gradients=again), tmp_path / "x")
        for again in (False, True)
    ]
    calls: list[int] = []
    for run in runs:
        layer = run.model.bert.encoder.layer[0].attention
        num_calls = count(1)
        layer.register_forward_hook(lambda *_, num_calls=num_calls: calls.append(next(num_calls)))
        run.fit()
    assert equal(runs[0].weights(), runs[1].weights())
    assert calls[-1] == 2 * calls[4], "the second time, each layer ran twice a step"


def test_fp16_without_a_gpu_is_refused(base: Path, tiny_data: Path, state: Path) -> None:
    run = Run(base, tiny_data, [], replace(CONFIG, arithmetic=Arithmetic.FP16), state)
    with pytest.raises(TaggingError, match="--arithmetic fp16: expected a GPU, got cpu; choose bf"):
        run.fit()


@pytest.mark.parametrize("save_every_s", [0, 1e6])
def test_a_run_interrupted_at_its_end_resumes_to_the_same_weights(
    base: Path, tiny_data: Path, state: Path, save_every_s: float
) -> None:
    config = replace(CONFIG, save_every_s=save_every_s)
    done = Run(base, tiny_data, [0.5, 0.6, 0.4, 0.3], config, state)
    history = done.fit()
    again = Run(base, tiny_data, [], replace(config, resume=True), state)
    again.task.optimizer.register_step_post_hook(lambda *_: pytest.fail("trained again"))
    assert again.fit() == history
    assert equal(again.weights(), done.weights())


def test_a_run_that_is_never_resumed_saves_nothing(
    base: Path, tiny_data: Path, state: Path
) -> None:
    Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1, save_every_s=math.inf), state).fit()
    assert not state.exists()


def test_without_a_state_a_resumed_run_starts_and_says_so(
    base: Path, tiny_data: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1, resume=True), state)
    assert len(run.fit()) == 1
    assert "nothing to resume: starting from the first epoch" in caplog.text


def test_without_resume_a_state_left_behind_is_set_aside_and_can_be_gone_on_with(
    base: Path, tiny_data: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(base, tiny_data, [0.5, 0.6], CONFIG, state).fit()
    with pytest.raises(KeyboardInterrupt):
        Run(base, tiny_data, [], CONFIG, state).fit()
    aside = state.with_name(f"{state.name}.previous")
    assert f"left its state, now {aside}; to go on with it, move it back to {state}" in caplog.text
    aside.replace(state)
    again = Run(base, tiny_data, [0.4, 0.3], RESUMED, state)
    assert [epoch.number for epoch in again.fit()] == [1, 2, 3, 4]


def test_a_state_that_cannot_be_set_aside_stops_no_run(
    base: Path, tiny_data: Path, state: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    Run(base, tiny_data, [0.5], config, state).fit()
    state.with_name(f"{state.name}.previous").mkdir()
    assert len(Run(base, tiny_data, [0.5], config, state).fit()) == 1


def test_frozen_weights_stay_and_are_not_in_the_state(
    base: Path, tiny_data: Path, state: Path
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1, freeze_layers=2), state)
    before = run.weights()
    run.fit()
    after = run.weights()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    with safe_open(state, framework="pt") as file:
        names = {key.partition("/")[2] for key in file.keys() if key.startswith("weights/")}  # noqa: SIM118
    assert names == {f"model.{name}" for name in changed}


def test_a_state_of_other_settings_is_refused(base: Path, tiny_data: Path, state: Path) -> None:
    Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1), state).fit()
    run = Run(base, tiny_data, [0.5], RESUMED, state)
    run.plan = replace(run.plan, run="another run")
    with pytest.raises(CheckpointError, match="same settings, data and model, got another's"):
        run.fit()


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_state_is_refused(
    base: Path, tiny_data: Path, state: Path, content: bytes
) -> None:
    state.parent.mkdir()
    state.write_bytes(content)
    run = Run(base, tiny_data, [0.5], RESUMED, state)
    with pytest.raises(
        CheckpointError, match=r"expected the state of a run, got .* without --resume"
    ):
        run.fit()


def test_a_loss_that_is_no_number_is_refused_with_the_remedy(
    base: Path, tiny_data: Path, state: Path
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, learning_rate=1e30), state)
    message = "epoch 1: expected a finite loss, got nan; lower --learning-rate"
    with pytest.raises(TaggingError, match=message):
        run.fit()


def test_one_line_an_epoch_is_said(
    base: Path, tiny_data: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    Run(base, tiny_data, [0.5, 0.25], replace(CONFIG, epochs=2), state).fit()
    lines = [
        record.getMessage() for record in caplog.records if record.name == "train.loop.progress"
    ]
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2: loss ")
    assert lines[1].endswith(", dev F1 0.2500")


@contextmanager
def watched_steps() -> Iterator[list[tuple[float, float]]]:
    """Give the learning rate and the norm of the gradients of each step of any optimizer."""
    steps: list[tuple[float, float]] = []

    def watch(optimizer: Optimizer, *_: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.get_total_norm(g for g in gradients if g is not None)
        (rate,) = {group["lr"] for group in optimizer.param_groups}
        steps.append((rate, norm.item()))

    with register_optimizer_step_pre_hook(watch):
        yield steps


def test_each_step_has_its_learning_rate_of_the_schedule(
    base: Path, tiny_data: Path, state: Path
) -> None:
    config = replace(CONFIG, schedule=Schedule.COSINE, warmup=0.5)
    run = Run(base, tiny_data, [0.1, 0.2, 0.3, 0.4], config, state)
    with watched_steps() as steps:
        run.fit()
    shares = [rate_at(step, 20, Schedule.COSINE, 0.5) for step in range(20)]
    assert [rate for rate, _ in steps] == [1e-2 * share for share in shares]


@pytest.mark.parametrize(("factor", "expected"), [(100.0, 1.0), (1e-3, None)])
def test_large_gradients_are_scaled_down_and_small_ones_left(
    base: Path, tiny_data: Path, state: Path, factor: float, expected: float | None
) -> None:
    run = Run(base, tiny_data, [0.1], replace(CONFIG, epochs=1), state)
    run.learner.objective.register_forward_hook(lambda *call: factor * call[-1])
    with watched_steps() as steps:
        run.fit()
    for _, norm in steps:
        assert norm == pytest.approx(expected, rel=1e-3) if expected else 0 < norm < 0.1


@pytest.mark.parametrize("arithmetic", [Arithmetic.AUTO, Arithmetic.BF16, Arithmetic.FP32])
def test_the_model_runs_in_the_number_format_asked_for_and_its_weights_stay_float32(
    base: Path, tiny_data: Path, state: Path, arithmetic: Arithmetic
) -> None:
    run = Run(base, tiny_data, [0.1], replace(CONFIG, epochs=1, arithmetic=arithmetic), state)
    seen: set[torch.dtype] = set()
    run.model.classifier.register_forward_hook(lambda *call: seen.add(call[-1].dtype))
    run.fit()
    fastest = torch.bfloat16 if has_bf16(torch.device("cpu")) else torch.float32
    expected = {Arithmetic.BF16: torch.bfloat16, Arithmetic.FP32: torch.float32}
    assert seen == {expected.get(arithmetic, fastest)}
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}


def test_a_state_that_cannot_be_written_is_refused_and_leaves_nothing(
    base: Path,
    tiny_data: Path,
    state: Path,
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1), state)
    message = r"x\.resume\.safetensors: expected to write the state .*, got .*; make room there"
    with pytest.raises(CheckpointError, match=message), full_disk():
        run.fit()
    assert list(state.parent.iterdir()) == []


def test_a_state_that_cannot_be_written_at_the_end_costs_no_training(
    base: Path,
    tiny_data: Path,
    state: Path,
    full_disk: Callable[[], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1, save_every_s=1e6), state)
    with full_disk():
        assert len(run.fit()) == 1
    assert "x.resume.safetensors: expected to write the state" in caplog.text
    assert list(state.parent.iterdir()) == []


def test_a_state_whose_place_is_taken_is_refused_and_leaves_nothing(
    base: Path, tiny_data: Path, state: Path
) -> None:
    state.mkdir(parents=True)
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1), state)
    with pytest.raises(CheckpointError, match=r"expected to write the state .* Is a directory"):
        run.fit()
    assert list(state.parent.iterdir()) == [state]


def test_the_first_of_equal_epochs_is_the_best() -> None:
    history = [Epoch(1, 1.0, 0.2), Epoch(2, 0.9, 0.7), Epoch(3, 0.8, 0.7)]
    assert best_epoch(history).number == 2


def test_the_last_of_epochs_that_found_nothing_is_the_best() -> None:
    assert best_epoch([Epoch(1, 1.0, 0.0), Epoch(2, 0.9, 0.0)]).number == 2

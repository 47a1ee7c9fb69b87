import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from serve.errors import CheckpointError, TaggingError
from train.base import find_base
from train.collate import label_windows
from train.config import TrainConfig
from train.data import read_corpus
from train.device import has_bf16
from train.fit import MAX_NORM, Fit, Resume, best_epoch, default_epochs
from train.optimizer import freeze, learning_rate_at
from train.state import Epoch

CONFIG = TrainConfig(epochs=4, batch_size=40, learning_rate=3e-3)


class Run:
    """A tiny training run whose dev F1 comes from a script, not from a model."""

    def __init__(
        self,
        base: Path,
        data: Path,
        scores: list[float],
        config: TrainConfig,
        num_frozen_layers: int | None = None,
    ) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self._scores = iter(scores)
        corpus = read_corpus(replace(config, data=data))
        found = find_base(str(base))
        encoder = found.encoder()
        torch.manual_seed(0)
        self.model = found.load_model(corpus.tags)
        if num_frozen_layers is not None:
            freeze(self.model, num_frozen_layers)
        windows = label_windows(corpus.train.examples, encoder, corpus.tags, label_all_tokens=False)
        self.fit = Fit(self.model, windows, encoder, self._score, config)

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
def resume(tmp_path: Path) -> Resume:
    return Resume(tmp_path / "out" / "x.resume.safetensors", "this run")


@pytest.fixture(autouse=True)
def _same_chance_after() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_loss_falls_and_a_seed_repeats_itself(
    base: Path, tiny_data: Path, tmp_path: Path
) -> None:
    runs = [Run(base, tiny_data, [0.1, 0.2, 0.3, 0.4], CONFIG) for _ in range(2)]
    histories = [run.fit.run(Resume(tmp_path / f"{i}", "")) for i, run in enumerate(runs)]
    losses = [epoch.loss for epoch in histories[0]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert histories[0] == histories[1]
    assert equal(runs[0].weights(), runs[1].weights())


def test_another_seed_gives_another_model(base: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1)
    runs = [Run(base, tiny_data, [0.1], replace(config, seed=seed)) for seed in (1, 2)]
    for run in runs:
        run.fit.run(Resume(tmp_path / "state", ""))
    assert not equal(runs[0].weights(), runs[1].weights())


def test_training_stops_when_dev_f1_does_and_the_best_weights_stay(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.5, 0.9, 0.9, 0.6], replace(CONFIG, epochs=9, patience=2))
    history = run.fit.run(resume)
    assert [epoch.dev_f1 for epoch in history] == [0.5, 0.9, 0.9, 0.6]
    assert equal(run.weights(), run.seen[1])
    assert not equal(run.weights(), run.seen[3])


def test_patience_waits_for_the_first_dev_f1_above_zero(
    base: Path, tiny_data: Path, resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    scores = [0.0, 0.0, 0.0, 0.3, 0.2, 0.1]
    run = Run(base, tiny_data, scores, replace(CONFIG, epochs=9, patience=2))
    assert [epoch.dev_f1 for epoch in run.fit.run(resume)] == scores
    assert equal(run.weights(), run.seen[3])
    assert "finds no entity" not in caplog.text


def test_a_run_that_finds_nothing_keeps_its_last_epoch_and_says_so(
    base: Path, tiny_data: Path, resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(base, tiny_data, [0.0] * 4, replace(CONFIG, patience=1))
    assert len(run.fit.run(resume)) == 4
    assert equal(run.weights(), run.seen[3])
    assert "after 4 epochs the model finds no entity of the dev lines (F1 0); give" in caplog.text


def test_a_resumed_run_ends_like_one_never_interrupted(
    base: Path, tiny_data: Path, resume: Resume, tmp_path: Path
) -> None:
    scores = [0.2, 0.5, 0.4, 0.3]
    whole = Run(base, tiny_data, scores, CONFIG)
    history = whole.fit.run(Resume(tmp_path / "whole", ""))
    broken = Run(base, tiny_data, scores[:2], CONFIG)
    with pytest.raises(KeyboardInterrupt):
        broken.fit.run(resume)
    resumed = Run(base, tiny_data, scores[2:], replace(CONFIG, resume=True))
    assert resumed.fit.run(resume) == history
    assert equal(resumed.weights(), whole.weights())
    assert equal(resumed.seen[-1], whole.seen[-1])


def test_a_run_interrupted_at_its_end_resumes_to_the_same_weights(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    done = Run(base, tiny_data, [0.5, 0.6, 0.4, 0.3], CONFIG)
    history = done.fit.run(resume)
    again = Run(base, tiny_data, [], replace(CONFIG, resume=True))
    assert again.fit.run(resume) == history
    assert equal(again.weights(), done.weights())


def test_without_a_state_a_resumed_run_starts_and_says_so(
    base: Path, tiny_data: Path, resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1, resume=True))
    assert len(run.fit.run(resume)) == 1
    assert "nothing to resume: starting from the first epoch" in caplog.text


def test_without_resume_a_state_left_behind_is_ignored(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    for _ in range(2):
        run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1))
        assert [epoch.number for epoch in run.fit.run(resume)] == [1]


def test_frozen_weights_stay_and_are_not_in_the_state(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1), num_frozen_layers=2)
    before = run.weights()
    run.fit.run(resume)
    after = run.weights()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    with safe_open(resume.path, framework="pt") as state:
        names = {key.partition("/")[2] for key in state.keys() if key.startswith("weights/")}  # noqa: SIM118
    assert names == changed


def test_a_state_of_other_settings_is_refused(base: Path, tiny_data: Path, resume: Resume) -> None:
    Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1)).fit.run(resume)
    run = Run(base, tiny_data, [0.5], replace(CONFIG, resume=True))
    with pytest.raises(CheckpointError, match="same settings, data and model, got another's"):
        run.fit.run(Resume(resume.path, "another run"))


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_state_is_refused(
    base: Path, tiny_data: Path, resume: Resume, content: bytes
) -> None:
    resume.path.parent.mkdir()
    resume.path.write_bytes(content)
    run = Run(base, tiny_data, [0.5], replace(CONFIG, resume=True))
    with pytest.raises(
        CheckpointError, match=r"expected the state of a run, got .* without --resume"
    ):
        run.fit.run(resume)


def test_a_loss_that_is_no_number_is_refused_with_the_remedy(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, learning_rate=1e30))
    message = "epoch 1: expected a finite loss, got nan; lower --learning-rate"
    with pytest.raises(TaggingError, match=message):
        run.fit.run(resume)


def test_one_line_an_epoch_is_said(
    base: Path, tiny_data: Path, resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    Run(base, tiny_data, [0.5, 0.25], replace(CONFIG, epochs=2)).fit.run(resume)
    lines = [record.getMessage() for record in caplog.records if record.name == "train.fit"]
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
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.1, 0.2, 0.3, 0.4], CONFIG)
    with watched_steps() as steps:
        run.fit.run(resume)
    expected = [learning_rate_at(step, 20, CONFIG.learning_rate) for step in range(20)]
    assert [rate for rate, _ in steps] == expected


def test_large_gradients_are_scaled_down_and_small_ones_left(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.1] * 20, replace(CONFIG, epochs=20, patience=20))
    with torch.no_grad():
        run.model.classifier.weight.mul_(100.0)
    with watched_steps() as steps:
        run.fit.run(resume)
    norms = [norm for _, norm in steps]
    assert max(norms) == pytest.approx(MAX_NORM, rel=1e-3)
    assert min(norms) < 0.9 * MAX_NORM


def test_the_model_runs_in_the_hardwares_precision_and_the_loss_in_float32(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    run = Run(base, tiny_data, [0.1], replace(CONFIG, epochs=1))
    seen: set[torch.dtype] = set()
    run.model.classifier.register_forward_hook(lambda *call: seen.add(call[-1].dtype))
    run.fit.run(resume)
    assert seen == {torch.bfloat16 if has_bf16(torch.device("cpu")) else torch.float32}
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}


def test_a_state_that_cannot_be_written_is_refused_and_leaves_nothing(
    base: Path,
    tiny_data: Path,
    resume: Resume,
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1))
    message = r"x\.resume\.safetensors: expected to write the state .*, got .*; make room there"
    with pytest.raises(CheckpointError, match=message), full_disk():
        run.fit.run(resume)
    assert list(resume.path.parent.iterdir()) == []


def test_a_state_whose_place_is_taken_is_refused_and_leaves_nothing(
    base: Path, tiny_data: Path, resume: Resume
) -> None:
    resume.path.mkdir(parents=True)
    run = Run(base, tiny_data, [0.5], replace(CONFIG, epochs=1))
    with pytest.raises(CheckpointError, match=r"expected to write the state .* Is a directory"):
        run.fit.run(resume)
    assert list(resume.path.parent.iterdir()) == [resume.path]


@pytest.mark.parametrize(
    ("steps_per_epoch", "num_epochs"), [(1, 40), (12, 34), (57, 8), (92, 5), (101, 4), (9999, 4)]
)
def test_a_small_corpus_is_read_more_often(steps_per_epoch: int, num_epochs: int) -> None:
    assert default_epochs(steps_per_epoch) == num_epochs


def test_the_first_of_equal_epochs_is_the_best() -> None:
    history = [Epoch(1, 1.0, 0.2), Epoch(2, 0.9, 0.7), Epoch(3, 0.8, 0.7)]
    assert best_epoch(history).number == 2


def test_the_last_of_epochs_that_found_nothing_is_the_best() -> None:
    assert best_epoch([Epoch(1, 1.0, 0.0), Epoch(2, 0.9, 0.0)]).number == 2

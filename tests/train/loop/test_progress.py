import io
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from train.__main__ import main
from train.loop.progress import Progress
from train.loop.state import Epoch


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_events_of_every_step_and_epoch_are_written_on_request(
    tiny_base: Path, tiny_data: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(tiny_data), "--model", str(tiny_base), "--epochs", "2"]
    output = ["--output", str(tmp_path / "checkpoint"), "--tensorboard", str(tmp_path / "events")]
    assert main([*arguments, *output]) == 0
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [event.step for event in events.Scalars("loss/train")] == list(range(1, 15))
    assert [event.step for event in events.Scalars("dev F1")] == [1, 2]
    rates = [event.value for event in events.Scalars("learning rate")]
    assert max(rates) == pytest.approx(3e-4)


def test_a_terminal_sees_loss_score_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress("dev F1")
    with progress.over(num_steps=4, num_done=1):
        progress.epoch(Epoch(1, 0.9, 0.5), 0.5)
        monkeypatch.setattr("tqdm.std.tqdm.update", lambda bar, n=1: bar.refresh() or True)
        progress.step(2, 2, lambda: 0.25, 1e-4)
        assert progress._bar is not None
        progress._bar.refresh()
    shown = stream.getvalue()
    assert "loss=0.2500" in shown
    assert "dev F1=0.5000" in shown
    assert "<" in shown, "tqdm tells the time gone, <, and the time left"


def test_no_terminal_sees_no_bar(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    progress = Progress("perplexity", show=lambda score: -score)
    with progress.over(num_steps=2, num_done=0):
        progress.step(1, 1, lambda: 0.25, 1e-4)
        progress.epoch(Epoch(1, 0.25, -12.0), 1.0)
    assert capsys.readouterr().err == ""
    assert caplog.messages == ["epoch 1: loss 0.2500, perplexity 12.0000"]


def test_a_process_beside_the_first_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    heard: list[float] = []
    progress = Progress(
        "F1", events=tmp_path / "e", on_epoch=lambda _, share: heard.append(share), is_shown=False
    )
    with progress.over(num_steps=1, num_done=0):
        progress.step(1, 1, lambda: 0.25, 1e-4)
        progress.epoch(Epoch(1, 0.25, 0.5), 1.0)
    assert caplog.messages == []
    assert not (tmp_path / "e").exists()
    assert heard == [1.0]

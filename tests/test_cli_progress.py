"""Progress as a bar or in lines: on standard error, at a rate that is right, in words that read well."""

import pytest

from unlearnable.cli.progress import Lines, duration, listening, to_stderr
from unlearnable.run import Progress


def test_off_a_terminal_progress_is_a_line_now_and_then() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for second in range(35):
        now[0] = float(second)
        listener(Progress("em", 2 * second, 100, {"error": 0.25}))
    assert len(lines) == 3
    assert lines[0] == "em 20/100, 2/s, 40 s left, error 0.25"


def test_a_stage_that_starts_again_is_timed_anew() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for at, done in ((0, 0), (9, 9), (9, 0), (19, 5)):
        now[0] = float(at)
        listener(Progress("train", done, 10, {}))
    assert lines == ["train 5/10, 0.5/s, 10 s left"]


def test_a_line_shows_what_a_stage_is_part_of() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for at, stage, done in ((0, "labels", 6), (1, "evaluate", 2), (12, "train", 3)):
        now[0] = float(at)
        listener(Progress(stage, done, 6, {}))
    assert lines == ["evaluate 2/6; train 3/6"]


def test_a_standard_error_that_takes_nothing_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr.write", full)
    to_stderr("em 1/4")


def test_progress_goes_to_stderr_and_quiet_silences_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for quiet in (False, True):
        with listening(quiet) as listener:
            listener(Progress("em", 1, 4, {"error": 0.5}))
            listener(Progress("em", 4, 4, {}))
            listener(Progress("em", 0, 4, {}))
        said = capsys.readouterr()
        assert said.out == ""
        assert ("em" in said.err) is not quiet


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "8 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 05 min")])
def test_durations_read_like_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

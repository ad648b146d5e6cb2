"""Experiment trackers: the figures that a run watches, in TensorBoard, Weights & Biases, MLflow or trackio.

Off unless asked for. Where a tracker keeps or sends them is its own setting (WANDB_MODE, MLFLOW_TRACKING_URI,
TRACKIO_DIR, ...); nothing but figures and flags is handed over: no picture, no code, no text of the terminal; of the
flags no folder and nothing that opens an address.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from unlearnable.extras import imported
from unlearnable.messages import in_words
from unlearnable.run import Progress, Run

Flags = Mapping[str, str]


@runtime_checkable
class Tracker(Protocol):
    """One run in an experiment tracker, begun when it is made."""

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        """Figures of a stage after so many of its own steps."""

    def close(self) -> None:
        """Ends the run."""


class TensorBoard:
    """Event files in a folder; `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, tensorboard: Any, name: str, flags: Flags) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(name)
        self._writer.add_text("flags", "\n".join(f"    {flag}: {value}" for flag, value in flags.items()))

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        for figure, value in figures.items():
            self._writer.add_scalar(f"{stage}/{figure}", value, step)

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """A run of a project of Weights & Biases."""

    def __init__(self, wandb: Any, name: str, flags: Flags) -> None:
        quiet = wandb.Settings(
            console="off", disable_code=True, disable_git=True, silent=True,
            x_disable_meta=True,  # else the command as it was typed, the folder, the user and the machine
            x_disable_stats=True, x_save_requirements=False,
        )  # fmt: skip
        self._run = wandb.init(project=name, config=dict(flags), settings=quiet)
        self._stages: set[str] = set()

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        if stage not in self._stages:  # its own steps are one count for the whole run, ours one for each stage
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._stages.add(stage)
        self._run.log({f"{stage}/step": step} | {f"{stage}/{figure}": value for figure, value in figures.items()})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of an MLflow experiment."""

    def __init__(self, mlflow: Any, name: str, flags: Flags) -> None:
        self._client = mlflow.MlflowClient()
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._run = self._client.create_run(experiment).info.run_id
        for flag, value in flags.items():
            self._client.log_param(self._run, flag, value)

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        for figure, value in figures.items():
            self._client.log_metric(self._run, f"{stage}/{figure}", value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackio:
    """A run of a trackio project, on this machine unless its own settings say otherwise."""

    def __init__(self, trackio: Any, name: str, flags: Flags) -> None:
        self._run = trackio.init(project=name, config=dict(flags), embed=False, auto_log_gpu=False, auto_log_cpu=False)

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        self._run.log({f"{stage}/{figure}": value for figure, value in figures.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Any, str, Flags], Tracker]] = {
    "tensorboard": TensorBoard, "wandb": Wandb, "mlflow": MLflow, "trackio": Trackio,
}  # fmt: skip
"""By the name of the package, which is that of the extra too; each begins a run with the package, a name and flags."""
_SILENT = {"WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""What keeps the packages themselves from calling home; read when they are imported."""


@contextmanager
def tracked(
    run: Run, where: str | None, flags: Flags | None = None, tell: Callable[[str], None] = warnings.warn
) -> Iterator[Run]:
    """The run, its figures noted in a tracker too; as it is where none is asked for, and on all ranks but the first.

    where: TRACKER:NAME, a folder for tensorboard, a project or experiment for the others; flags: what is noted once.
    A tracker that fails on the way ends nothing but itself: `tell` hears why, once. Raises ValueError for an unknown
    tracker, a missing name, package or account.
    """
    if where is None or not run.first:
        yield run
        return
    kind, _, name = where.partition(":")
    if kind not in TRACKERS or not name:
        raise ValueError(f"a tracker must be one of {', '.join(f'{one}:NAME' for one in TRACKERS)}, got {where!r}")
    os.environ |= {variable: value for variable, value in _SILENT.items() if variable not in os.environ}
    package = imported(kind, f"--track {kind}", kind)
    try:
        tracker = TRACKERS[kind](package, name, flags or {})
    except Exception as error:  # every tracker has exceptions of its own
        raise ValueError(f"{kind} does not begin a run called {name!r}: {in_words(error)}") from None
    noted = _Noted(tracker, lambda why: tell(f"{kind} notes no more figures: {why}"))
    before = run.listener

    def both(event: Progress) -> None:
        before(event)
        noted(event)

    try:
        yield replace(run, listener=both)
    finally:
        noted.ending()


class _Noted:
    """A listener that notes the figures of events; a stage that begins anew (a second victim) is `stage-2`."""

    def __init__(self, tracker: Tracker, tell: Callable[[str], None]) -> None:
        self._tracker, self._tell, self._failed = tracker, tell, False
        self._seen: dict[str, int] = {}
        self._turns: dict[str, int] = {}

    def __call__(self, event: Progress) -> None:
        if event.done < self._seen.get(event.stage, 0):
            self._turns[event.stage] = self._turns.get(event.stage, 1) + 1
        self._seen[event.stage] = event.done
        if self._failed or not event.figures:
            return
        turn = self._turns.get(event.stage, 1)
        self._try(self._tracker.note, event.stage + (f"-{turn}" if turn > 1 else ""), event.done, event.figures)

    def ending(self) -> None:
        """Ends the tracker's run."""
        self._try(self._tracker.close)

    def _try(self, do: Callable[..., None], *what: Any) -> None:
        try:
            do(*what)
        except Exception as error:  # every tracker has exceptions of its own
            if not self._failed:
                self._tell(in_words(error))
            self._failed = True

"""What a run tells while it works. Events come in order and none is left out; of `Progress` only
the last is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

_log = logging.getLogger("rebuild")


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened.

    Attributes:
        seq: The position among the events of this call, from 1, without gaps.
        at: When, by this machine's clock.
        run: The run that it belongs to, if it belongs to one.
    """

    seq: int
    at: datetime
    run: str | None


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run began, or was taken up again, with `steps` steps ahead."""

    title: str
    steps: int


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step began."""

    step: str
    title: str


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """A step ended well after `seconds`."""

    step: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """A step failed."""

    step: str
    error: str


@dataclass(frozen=True, slots=True)
class UndoStarted(Event):
    """A step is being taken back."""

    step: str
    title: str


@dataclass(frozen=True, slots=True)
class UndoFinished(Event):
    """A step was taken back."""

    step: str
    seconds: float


@dataclass(frozen=True, slots=True)
class UndoFailed(Event):
    """A step could not be taken back."""

    step: str
    error: str


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something worth a line."""

    level: Literal["info", "warning"]
    message: str


@dataclass(frozen=True, slots=True)
class Output(Event):
    """A line of a program or of a function that a step runs, control characters escaped."""

    program: str
    line: str


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run ended."""

    ending: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is: `done` of `total` rows, bytes or items; `total` is None if unknown."""

    of: str
    done: int
    total: int | None
    unit: Literal["bytes", "rows", "items"]


AnyEvent: TypeAlias = (
    RunStarted
    | StepStarted
    | StepFinished
    | StepFailed
    | UndoStarted
    | UndoFinished
    | UndoFailed
    | Note
    | Output
    | RunFinished
    | Progress
)

OnEvent: TypeAlias = Callable[[AnyEvent], object]
"""Called with every event, in the thread (or the event loop) of the call. If it raises, the work is
asked to stop at its next safe point, and the exception comes out of the call."""

_EVENTS: dict[str, type[Event]] = {
    "run-started": RunStarted,
    "step-started": StepStarted,
    "step-finished": StepFinished,
    "step-failed": StepFailed,
    "undo-started": UndoStarted,
    "undo-finished": UndoFinished,
    "undo-failed": UndoFailed,
    "note": Note,
    "output": Output,
    "run-finished": RunFinished,
}


def of_json(value: Mapping[str, Any]) -> AnyEvent | None:
    """The event, or None for one that only a newer package knows."""
    members = dict(value)
    kind = members.pop("event")
    if kind == "progress":
        return Progress(**members)
    cls = _EVENTS.get(kind)
    if cls is None:
        return None
    members["at"] = moment(members["at"])
    event: Any = cls(**members)
    return event  # type: ignore[no-any-return]


def moment(text: str) -> datetime:
    """A moment as the engine writes it: in UTC, with up to nine digits of a second."""
    whole, _, digits = text.removesuffix("Z").partition(".")
    micros = (digits + "000000")[:6]
    return datetime.fromisoformat(f"{whole}.{micros}+00:00")


def log(event: AnyEvent) -> None:
    """Sends an event to the logger `rebuild`, as `logging` users expect it."""
    match event:
        case RunStarted(run=run, title=title, steps=steps):
            _log.info("%s: %s, %d steps ahead", run, title, steps)
        case StepStarted(step=step, title=title):
            _log.info("%s: %s", step, title)
        case StepFinished(step=step, seconds=seconds):
            _log.info("%s: done in %.1f s", step, seconds)
        case StepFailed(step=step, error=error):
            _log.error("%s failed: %s", step, error)
        case UndoStarted(step=step, title=title):
            _log.warning("taking %s back: %s", step, title)
        case UndoFinished(step=step):
            _log.warning("%s was taken back", step)
        case UndoFailed(step=step, error=error):
            _log.error("%s could not be taken back: %s", step, error)
        case Note(level="warning", message=message):
            _log.warning("%s", message)
        case Note(message=message):
            _log.info("%s", message)
        case Output(program=program, line=line):
            _log.info("%s: %s", program, line)
        case RunFinished(ending=ending, seconds=seconds):
            _log.info("%s after %.1f s", ending, seconds)
        case Progress(of=of, done=done, total=total, unit=unit):
            _log.debug("%s: %d of %s %s", of, done, total, unit)

"""Runs: what happened, and how long each step took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ..events import moment
from ._base import Result, lines, table
from .names import Identity

Ending: TypeAlias = Literal["done", "rolled-back", "halted", "stuck"]


@dataclass(frozen=True, slots=True)
class Step(Result):
    """One step of a run.

    Attributes:
        id: Its id in the plan.
        title: What it does.
        status: Where it stands; None if nothing was recorded of it.
        seconds: How long it took, once it is done.
        error: What it failed with.
    """

    id: str
    title: str
    status: str | None
    seconds: float | None
    error: str | None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Step:
        return cls(**{name: value[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Printed(Result):
    """What programs printed last in a step, twenty lines at most.

    Attributes:
        step: The step's id in the plan.
        lines: `PROGRAM: LINE`, the last one last.
    """

    step: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Printed:
        return cls(step=value["step"], lines=tuple(value["lines"]))


@dataclass(frozen=True, slots=True)
class Report(Result):
    """How a call that acts came out.

    Attributes:
        run: The run's id.
        ending: How it stands.
        error: Why it is not done; a step's own traceback is in it.
        hint: Advice that came with the error.
        notes: What is not as it was when another process worked on the run, a line each.
        printed: What programs printed last, by steps of this call.
        left: What is left behind and under which name, a line each.
        next: The one command to type next.
        shut_out_ms: How long new sessions were held off by the promote, in milliseconds.
        seconds: How long the call took.
        steps: The timeline.
    """

    run: str
    ending: Ending
    error: str | None
    hint: str | None
    notes: tuple[str, ...]
    printed: tuple[Printed, ...]
    left: tuple[str, ...]
    next: str | None
    shut_out_ms: int | None
    seconds: float
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Report:
        members = {
            **value,
            "notes": tuple(value["notes"]),
            "printed": tuple(Printed.of(printed) for printed in value["printed"]),
            "left": tuple(value["left"]),
            "steps": tuple(Step.of(step) for step in value["steps"]),
        }
        return cls(**{name: members[name] for name in cls.__slots__})

    def __str__(self) -> str:
        text = [f"{self.run} is {self.ending} after {self.seconds:.1f} s"]
        if self.shut_out_ms is not None:
            text.append(f"new sessions were held off for {self.shut_out_ms} ms")
        if self.error:
            text.append(f"error: {self.error}")
        text += self.notes
        text += self.left
        if self.next:
            text.append(f"next: {self.next}")
        return "\n".join(text)

    def _repr_html_(self) -> str:
        return timeline(f"{self.run}: {self.ending}", self.steps) + lines("left", self.left)


@dataclass(frozen=True, slots=True)
class Run(Result):
    """A run, as its journal has it.

    Attributes:
        id: Its id.
        target: What it rebuilds.
        made: The database that it made, under the name it was made with; None before, and in a run that makes none.
        ending: How it stands; None while it moves, or after its process was killed.
        began: When it began.
        ended: When it came to stand.
        purged: True once what it set aside is destroyed.
        steps: The timeline.
    """

    id: str
    target: Identity
    made: Identity | None
    ending: Ending | None
    began: datetime
    ended: datetime | None
    purged: bool
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Run:
        ended, made = value["ended"], value["made"]
        return cls(
            id=value["id"],
            target=Identity.of(value["target"]),
            made=None if made is None else Identity.of(made),
            ending=value["ending"],
            began=moment(value["began"]),
            ended=None if ended is None else moment(ended),
            purged=value["purged"],
            steps=tuple(Step.of(step) for step in value["steps"]),
        )

    @property
    def is_open(self) -> bool:
        """True if it must be resumed or rolled back before another run may begin."""
        return self.ending not in ("done", "rolled-back")

    def _repr_html_(self) -> str:
        state = self.ending or "running, or killed"
        return timeline(f"{self.id}: {state}", self.steps)


class Runs(tuple[Run, ...]):
    """Runs, newest first."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [
            (run.id, run.target.name, run.ending or "running, or killed", run.began, run.ended)
            for run in self
        ]
        return table("runs", ("run", "target", "ending", "began", "ended"), rows)


def timeline(caption: str, steps: tuple[Step, ...]) -> str:
    """Steps as a table for notebooks."""
    rows = [
        (
            step.id,
            step.title,
            step.status,
            None if step.seconds is None else f"{step.seconds:.1f}",
            step.error,
        )
        for step in steps
    ]
    return table(caption, ("step", "what", "status", "seconds", "error"), rows)

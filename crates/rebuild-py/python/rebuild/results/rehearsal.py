"""Rehearsals: what a run would come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._base import Result, lines
from .runs import Ending, Step, timeline


@dataclass(frozen=True, slots=True)
class Rehearsal(Result):
    """What a rehearsal came to. It is false unless the run would have come to its end and nothing of the
    rehearsal is left.

    Attributes:
        name: Its name.
        database: The database that stood in for the target.
        ending: "done", "rolled-back" if the run would have failed, "stuck" if something is left.
        error: Why it is not done.
        hint: Advice that came with the error.
        steps: The timeline.
        not_rehearsed: What of the spec was left out, a line each.
        in_the_way: What would refuse the run itself at the moment, a line each.
        gone: What was made and is gone again, a line each.
        left: What was made and is still there, and why, a line each.
        next: The one command to type next.
        shut_out_ms: How long new sessions would have been held off by the promote, in milliseconds.
        seconds: How long the call took.
    """

    name: str
    database: str
    ending: Ending
    error: str | None
    hint: str | None
    steps: tuple[Step, ...]
    not_rehearsed: tuple[str, ...]
    in_the_way: tuple[str, ...]
    gone: tuple[str, ...]
    left: tuple[str, ...]
    next: str | None
    shut_out_ms: int | None
    seconds: float

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Rehearsal:
        listed = ("not_rehearsed", "in_the_way", "gone", "left")
        members = {
            **value,
            **{name: tuple(value[name]) for name in listed},
            "steps": tuple(_step(step) for step in value["steps"]),
        }
        return cls(**{name: members[name] for name in cls.__slots__})

    def __bool__(self) -> bool:
        return self.ending == "done"

    def _repr_html_(self) -> str:
        return (
            timeline(f"{self.name}: {self.ending}", self.steps)
            + lines("not rehearsed", self.not_rehearsed)
            + lines("left", self.left)
        )


def _step(value: Mapping[str, Any]) -> Step:
    failed = "failed" if value["error"] is not None else None
    return Step.of({**value, "status": failed if value["seconds"] is None else "done"})

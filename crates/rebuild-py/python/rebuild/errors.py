"""What can go wrong. Every exception of this package is a `RebuildError`.

No text in any of them holds a password: the engine has types for secrets that cannot be printed, and
what a step's own exception says is searched for the target's password before it gets here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .results import Report

_PLACE = re.compile(r"^(\S+:\d+:\d+): ")


class RebuildError(Exception):
    """Something failed.

    Attributes:
        what: What failed, on what, and why.
        where: The place in the spec (`file:line:column`), or the id of the run's step; if known.
        hint: What to do next, if that is known.
        causes: Why it failed, from the outermost layer to the innermost.
    """

    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.causes = causes

    def __str__(self) -> str:
        lines = [self.what, *(f"  because: {cause}" for cause in self.causes)]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pipelines send exceptions from process to process; arguments by name do not go along by
        # themselves.
        return (_again, (type(self), self.__dict__.copy()))


def _again(cls: type[RebuildError], state: dict[str, Any]) -> RebuildError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["what"])
    error.__dict__.update(state)
    return error


class UsageError(RebuildError):
    """The spec or an argument is wrong. Nothing was touched."""

    kind = "usage"


class Refused(RebuildError):
    """A guard refused. Nothing was touched by the step that asked."""

    kind = "refused"


class Unreachable(RebuildError):
    """A server could not be reached, or turned the client away."""

    kind = "unreachable"


class ServerError(RebuildError):
    """The server answered with an error."""

    kind = "server"


class ProgramError(RebuildError):
    """A program or a function of the spec could not be run, or failed."""

    kind = "program"


class StoreError(RebuildError):
    """The store could not be read or written."""

    kind = "store"


class Corrupt(RebuildError):
    """A backup, a journal or a plan is damaged, or comes from a newer version."""

    kind = "corrupt"


class Mismatch(RebuildError):
    """A verification found a difference where there must be none."""

    kind = "mismatch"


class DeadlineExceeded(RebuildError):
    """A deadline passed. The outcome of what was asked for may be unknown."""

    kind = "deadline"


class Interrupted(RebuildError):
    """It was asked to stop."""

    kind = "interrupted"


class LocalError(RebuildError):
    """A local file or process call failed."""

    kind = "io"


class InternalError(RebuildError):
    """A bug in this package or its engine."""

    kind = "internal"


class RunError(RebuildError):
    """A run began, and did not come to its end.

    Attributes:
        report: How it stands: what is left, and the one command to type next.
    """

    def __init__(self, report: Report) -> None:
        failed = [step.id for step in report.steps if step.error is not None]
        super().__init__(
            f"{report.run} is {report.ending}: {report.error or 'it was asked to stop'}",
            where=failed[0] if failed else None,
            hint="; next: ".join(filter(None, (report.hint, report.next))) or None,
        )
        self.report = report


class RolledBack(RunError):
    """The run failed, and everything is as it was before."""

    kind = "rolled-back"


class Halted(RunError):
    """The run stopped half-way. `resume` or `rollback` goes on."""

    kind = "halted"


class Stuck(RunError):
    """The run could neither finish nor go back by itself. The hint names the command to type."""

    kind = "stuck"


class StepInterrupted(BaseException):
    """Raised in a step's function when its run is asked to stop or its time is over.

    It is no `Exception`, so that `except Exception` does not swallow it.
    """


_KINDS: dict[str, type[RebuildError]] = {
    cls.kind: cls
    for cls in (
        UsageError,
        Refused,
        Unreachable,
        ServerError,
        ProgramError,
        StoreError,
        Corrupt,
        Mismatch,
        DeadlineExceeded,
        Interrupted,
        LocalError,
        InternalError,
    )
}


def of_failure(failure: Mapping[str, Any]) -> RebuildError:
    """The exception for an error that the engine gave."""
    what: str = failure["message"]
    place = _PLACE.match(what)
    return _KINDS.get(failure["kind"], InternalError)(
        what,
        where=place[1] if place else None,
        hint=failure["hint"],
        causes=tuple(failure["causes"]),
    )

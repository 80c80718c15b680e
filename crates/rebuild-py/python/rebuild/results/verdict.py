"""How a verification came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._base import Result, table


@dataclass(frozen=True, slots=True)
class Check(Result):
    """One check.

    Attributes:
        name: What was checked, for example `counts`.
        looked_at: How much was looked at, in words.
        outcome: How it came out. One that could not run is no proof, and counts as failed.
        because: What was expected and what was found, or why it did not run; a line each.
    """

    name: str
    looked_at: str
    outcome: Literal["passed", "failed", "not-run"]
    because: tuple[str, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Check:
        because = value.get("because", ())
        return cls(
            value["name"],
            value["looked_at"],
            value["outcome"],
            (because,) if isinstance(because, str) else tuple(because),
        )


@dataclass(frozen=True, slots=True)
class Verdict(Result):
    """All checks of one verification. It is true if at least one ran and all passed."""

    checks: tuple[Check, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Verdict:
        return cls(tuple(Check.of(check) for check in value["checks"]))

    @property
    def passed(self) -> bool:
        """True if at least one check ran and every check passed."""
        return bool(self.checks) and not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if check.outcome != "passed")

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        marks = {"passed": "ok  ", "failed": "FAIL", "not-run": "SKIP"}
        text = []
        for check in self.checks:
            text.append(f"  {marks[check.outcome]}  {check.name} ({check.looked_at})")
            text += [f"          {line}" for line in check.because]
        return "\n".join(text) or "  no check ran"

    def _repr_html_(self) -> str:
        rows = [(c.outcome, c.name, c.looked_at, "; ".join(c.because)) for c in self.checks]
        passed = "verified" if self.passed else "NOT verified"
        return table(passed, ("outcome", "check", "looked at", "because"), rows)

"""Backups, and what was made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..events import moment
from ._base import Result, size, table
from .names import Identity
from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class Backup(Result):
    """A finished backup.

    Attributes:
        id: Its id.
        of: What it is a backup of.
        mode: `full`, `schema-only` or `counts-only`.
        taken_at: When its snapshot was taken, by the clock of the machine that took it.
        tables: How many tables it holds (or counts).
        rows: How many rows.
        large_objects: How many large objects.
        stored_bytes: Bytes in the store.
    """

    id: str
    of: Identity
    mode: str
    taken_at: datetime
    tables: int
    rows: int
    large_objects: int
    stored_bytes: int

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Backup:
        members = {**value, "of": Identity.of(value["of"]), "taken_at": moment(value["taken_at"])}
        return cls(**{name: members[name] for name in cls.__slots__})

    def __str__(self) -> str:
        return (
            f"{self.id}  {self.taken_at:%Y-%m-%d %H:%M:%S}  {self.tables} tables, "
            f"{self.rows} rows, {size(self.stored_bytes)}"
        )


class Backups(tuple[Backup, ...]):
    """Finished backups, newest first."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        head = ("id", "of", "mode", "taken at", "tables", "rows", "size")
        rows = [
            (b.id, b.of.name, b.mode, b.taken_at, b.tables, b.rows, size(b.stored_bytes))
            for b in self
        ]
        return table("backups", head, rows)


@dataclass(frozen=True, slots=True)
class CheckedBackup(Result):
    """A backup that was read back, and what that showed. It is true if it is what it claims."""

    backup: Backup
    verdict: Verdict

    @classmethod
    def parse(cls, value: Sequence[Any]) -> CheckedBackup:
        return cls(Backup.parse(value[0]), Verdict.of(value[1]))

    def __bool__(self) -> bool:
        return self.verdict.passed


@dataclass(frozen=True, slots=True)
class Restored(Result):
    """A new database, and how it compares with what it was made from.

    Attributes:
        database: The new database.
        verdict: Every row was compared (for a dump: counted).
    """

    database: Identity
    verdict: Verdict

    @classmethod
    def parse(cls, value: Sequence[Any]) -> Restored:
        return cls(Identity.of(value[0]), Verdict.of(value[1]))


@dataclass(frozen=True, slots=True)
class RestoredDump(Result):
    """A new database that was made from a dump.

    Attributes:
        database: The new database.
        verdict: Its rows were counted.
        statements: Statements that were run.
        rows: Rows that came by COPY.
        tables: Tables that they went to.
        left_out: Statements that were left out, by role.
    """

    database: Identity
    verdict: Verdict
    statements: int
    rows: int
    tables: int
    left_out: Mapping[str, int]

    @classmethod
    def parse(cls, value: Sequence[Any]) -> RestoredDump:
        report = value[1]
        return cls(
            Identity.of(value[0]),
            Verdict.of(value[2]),
            report["statements"],
            report["rows"],
            report["tables"],
            report["left_out"],
        )

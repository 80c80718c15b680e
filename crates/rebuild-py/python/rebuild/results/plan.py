"""What is there, what a run would do, and what would be lost."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from .. import _rebuild
from ._base import Result, lines, size, table
from .names import Identity, TableName
from .runs import Run


def _pair(value: Sequence[str] | None) -> tuple[str, str] | None:
    return None if value is None else (value[0], value[1])


@dataclass(frozen=True, slots=True)
class TableDrift(Result):
    """How a table's columns differ from those that its schema files have.

    Attributes:
        table: The table.
        new_columns: Columns that only the files have, with their types.
        lost_columns: Columns that only the live table has, with their types.
        changed_columns: Columns of another type: the column, its live type, that of the files.
    """

    table: TableName
    new_columns: tuple[tuple[str, str], ...]
    lost_columns: tuple[tuple[str, str], ...]
    changed_columns: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> TableDrift:
        return cls(
            TableName.of(value["table"]),
            tuple((name, of) for name, of in value["new_columns"]),
            tuple((name, of) for name, of in value["lost_columns"]),
            tuple((name, live, files) for name, live, files in value["changed_columns"]),
        )


@dataclass(frozen=True, slots=True)
class Drift(Result):
    """The difference between the live schema and the one that its source describes. It is true if
    there is any.

    Attributes:
        new_tables: Tables that only the source has.
        lost_tables: Tables that only the live database has, with the rows they are estimated to
            hold, or None if nobody knows.
        tables: Tables of both whose columns differ.
        objects: Every other object that differs: `+` only in the source, `-` only live, `~`
            different; and what it is.
    """

    new_tables: tuple[TableName, ...]
    lost_tables: tuple[tuple[TableName, int | None], ...]
    tables: tuple[TableDrift, ...]
    objects: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Drift:
        return cls(
            tuple(TableName.of(name) for name in value["new_tables"]),
            tuple((TableName.of(name), rows) for name, rows in value["lost_tables"]),
            tuple(TableDrift.of(drift) for drift in value["tables"]),
            tuple((sign, what) for sign, what in value["objects"]),
        )

    def __bool__(self) -> bool:
        return bool(self.new_tables or self.lost_tables or self.tables or self.objects)

    def rows(self) -> list[tuple[str, str]]:
        """A sign and what it is about, for each difference."""
        rows = [("+", f"table {name}") for name in self.new_tables]
        rows += [
            ("-", f"table {name} ({'unknown' if count is None else count} rows)")
            for name, count in self.lost_tables
        ]
        for drift in self.tables:
            rows += [("+", f"column {drift.table}.{name} {of}") for name, of in drift.new_columns]
            rows += [("-", f"column {drift.table}.{name} {of}") for name, of in drift.lost_columns]
            rows += [
                ("~", f"column {drift.table}.{name} {live}, and {files} in the source")
                for name, live, files in drift.changed_columns
            ]
        return rows + list(self.objects)

    def __str__(self) -> str:
        return "\n".join(f"{sign} {what}" for sign, what in self.rows()) or "no drift"

    def _repr_html_(self) -> str:
        return table("drift" if self else "no drift", ("", "what"), self.rows())


@dataclass(frozen=True, slots=True)
class Table(Result):
    """A table of the target. `rows` is an estimate of the server, or None."""

    table: TableName
    kind: str
    rows: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Status(Result):
    """What is there.

    Attributes:
        endpoint: Where the target is, without the password.
        target: The target.
        server_version: The server's version as a number, such as 150018.
        bytes: The size of the target.
        tables: Its tables.
        migration: The migration tool that was found and the version that it records, or None.
        new_migration: The same for a new database, where a migrator makes it and drift was asked for.
        drift: The drift, where the spec has a source of the schema and it was asked for.
        runs: The last runs, newest first.
    """

    endpoint: str
    target: Identity
    server_version: int
    bytes: int
    tables: tuple[Table, ...]
    migration: tuple[str, str] | None
    new_migration: tuple[str, str] | None
    drift: Drift | None
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Status:
        survey = value["survey"]
        inventory = survey["inventory"]
        return cls(
            endpoint=value["endpoint"],
            target=Identity.of(inventory["database"]["identity"]),
            server_version=inventory["server"]["version_num"],
            bytes=inventory["database"]["bytes"],
            tables=tuple(
                Table(TableName.of(t["table"]), t["kind"], t["estimated_rows"], t["bytes"])
                for t in inventory["tables"]
            ),
            migration=_pair(survey["schema"]["migration"]),
            new_migration=_pair(survey["new_migration"]),
            drift=None if survey["drift"] is None else Drift.of(survey["drift"]),
            runs=tuple(Run.of(run) for run in value["runs"]),
        )

    def _repr_html_(self) -> str:
        rows = [(t.table, t.kind, t.rows, size(t.bytes)) for t in self.tables]
        shown = table(self.endpoint, ("table", "kind", "rows (estimate)", "size"), rows)
        return shown + (self.drift._repr_html_() if self.drift is not None else "")


@dataclass(frozen=True, slots=True)
class Source(Result):
    """The database that the rows of a refresh come from, and what becomes of them on the way.

    Attributes:
        endpoint: Where it is, without the password.
        database: Which database.
        masked: Every column that is masked: the table, the column, how.
        chosen: Every table of which not all rows are copied, and which are.
        preserved: What of the target outlives the refresh, a line each.
    """

    endpoint: str
    database: Identity
    masked: tuple[tuple[TableName, str, str], ...]
    chosen: tuple[tuple[TableName, str], ...]
    preserved: tuple[str, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Source:
        return cls(
            endpoint=value["endpoint"],
            database=Identity.of(value["identity"]),
            masked=tuple((TableName.of(t), column, how) for t, column, how in value["masked"]),
            chosen=tuple((TableName.of(t), which) for t, which in value["chosen"]),
            preserved=tuple(value["preserved"]),
        )


@dataclass(frozen=True, slots=True)
class PlannedStep(Result):
    """One step of a plan."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Refusal(Result):
    """A guard that does not let the plan run: what it found, and what to do about it."""

    guard: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Plan(Result):
    """What a run would do, and what would be lost. `str(plan)` is the text for people.

    Attributes:
        target: The target, pinned.
        endpoint: Where it is, without the password.
        environment: The spec's label.
        strategy: `aside` or `in-place`.
        steps: The steps, in order.
        losses: What will be lost or taken out of service, a line each.
        warnings: What the operator should know, a line each.
        refusals: The guards that refuse. A plan with any does not run.
        needs_confirmation: True if the target's name has to be given as `confirm`.
        digest: BLAKE3 of the state that the plan was made from.
        source: Where the rows come from, of a refresh.
        drift: The drift, where there is a source of the schema and it was asked for.
        migration: The migration tool of the live database and the version that it records, or None.
        new_migration: The same for the new database, where a migrator makes it.
        document: The whole plan, as `rebuild run --plan` reads it.
    """

    target: Identity
    endpoint: str
    environment: str | None
    strategy: str
    steps: tuple[PlannedStep, ...]
    losses: tuple[str, ...]
    warnings: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    needs_confirmation: bool
    digest: str
    source: Source | None
    drift: Drift | None
    migration: tuple[str, str] | None
    new_migration: tuple[str, str] | None
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Plan:
        survey = value["survey"]
        drift, source = survey["drift"], survey.get("source")
        return cls(
            target=Identity.of(value["target"]),
            endpoint=value["endpoint"],
            environment=value["environment"],
            strategy=value["strategy"],
            steps=tuple(PlannedStep(step["id"], step["title"]) for step in value["steps"]),
            losses=tuple(value["losses"]),
            warnings=tuple(value["warnings"]),
            refusals=tuple(
                Refusal(r["guard"], r["message"], r["hint"]) for r in value["refusals"]
            ),
            needs_confirmation=value["needs_confirmation"],
            digest=value["digest"],
            source=None if source is None else Source.of(source),
            drift=None if drift is None else Drift.of(drift),
            migration=_pair(survey["schema"]["migration"]),
            new_migration=_pair(survey.get("new_migration")),
            document=value,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the plan to a file, for `Plan.load` or `rebuild run --plan`.

        A new file is for its owner alone.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(self.document, file, indent=2)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Plan:
        """Reads a plan that `save` or `rebuild plan --out` wrote."""
        return cls.of(json.loads(Path(path).read_text(encoding="utf-8")))

    def __str__(self) -> str:
        return _rebuild.render_plan(json.dumps(self.document))

    def _repr_html_(self) -> str:
        steps = [(n, step.id, step.title) for n, step in enumerate(self.steps, 1)]
        refusals = [f"{r.guard}: {r.message} ({r.hint})" for r in self.refusals]
        return (
            table(f"{self.endpoint}, {self.strategy}", ("", "step", "what"), steps)
            + lines("will be lost", self.losses)
            + lines("warnings", self.warnings)
            + lines("REFUSED", refusals)
            + (self.drift._repr_html_() if self.drift is not None else "")
        )

"""How two databases compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._base import Result, table
from .names import Identity, TableName


@dataclass(frozen=True, slots=True)
class DifferingKey(Result):
    """The primary key of a row that differs, as PostgreSQL writes it as text."""

    how: Literal["only-in-first", "only-in-second", "changed"]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableDifference(Result):
    """How one table differs.

    Attributes:
        table: The table.
        what: One line for each way in which it differs.
        keys: Some of the keys of the rows that differ, where they were asked for.
    """

    table: TableName
    what: tuple[str, ...]
    keys: tuple[DifferingKey, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> TableDifference:
        differences = value["differences"]
        shown = [
            key for d in differences if d.get("keys") is not None for key in d["keys"]["shown"]
        ]
        return cls(
            TableName.of(value["table"]),
            tuple(_line(difference) for difference in differences),
            tuple(DifferingKey(key["how"], tuple(key["key"])) for key in shown),
        )


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    """Two databases, every row of which was compared.

    Attributes:
        databases: The first and the second.
        tables: How many tables both have.
        rows: How many rows those have in each.
        differing: The tables that differ, by name.
    """

    databases: tuple[Identity, Identity]
    tables: int
    rows: tuple[int, int]
    differing: tuple[TableDifference, ...]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Comparison:
        first, second = value["databases"]
        return cls(
            (Identity.of(first), Identity.of(second)),
            value["tables"],
            (value["rows"][0], value["rows"][1]),
            tuple(TableDifference.of(difference) for difference in value["differing"]),
        )

    @property
    def same(self) -> bool:
        """True if there is no difference."""
        return not self.differing

    def __str__(self) -> str:
        first, second = self.databases
        if self.same:
            return f"{first} and {second}: {self.tables} tables, every row is equal"
        lines = [f"{d.table}: {line}" for d in self.differing for line in d.what]
        return "\n".join([f"{first} and {second} differ:", *lines])

    def _repr_html_(self) -> str:
        first, second = self.databases
        rows = [(d.table, line) for d in self.differing for line in d.what]
        equal = "every row is equal" if self.same else "they differ"
        return table(f"{first} and {second}: {equal}", ("table", "difference"), rows)


def _line(difference: Mapping[str, Any]) -> str:
    match difference["difference"]:
        case "only-in-first":
            return "only in the first"
        case "only-in-second":
            return "only in the second"
        case "columns":
            parts = [f"{name} only in the first" for name in difference["only_first"]]
            parts += [f"{name} only in the second" for name in difference["only_second"]]
            parts += [f"{name} is {one} and {two}" for name, one, two in difference["types"]]
            return "columns: " + ", ".join(parts)
        case _:
            return f"other rows ({difference['first']} and {difference['second']})"

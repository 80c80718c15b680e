"""Which database, and which table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._base import Result


@dataclass(frozen=True, slots=True)
class Identity(Result):
    """Which database, exactly.

    Attributes:
        server: The system identifier of its server.
        name: The name that it had when it was looked at.
        uid: Its oid.
    """

    server: str
    name: str
    uid: str

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Identity:
        return cls(value["server"], value["name"], value["uid"])

    def __str__(self) -> str:
        return f'"{self.name}" (oid {self.uid})'


@dataclass(frozen=True, slots=True, order=True)
class TableName(Result):
    """A table by schema and name, as the catalog has them, without quotes."""

    schema: str
    name: str

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> TableName:
        return cls(value["schema"], value["name"])

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

"""Throwaway PostgreSQL servers for tests. `rebuild.testing.fixtures` has the fixtures for pytest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .. import _rebuild
from ..database import Database
from ..errors import of_failure

__all__ = ["LocalCluster", "local_cluster"]


class LocalCluster:
    """A PostgreSQL server of our own, on a Unix socket in a folder that nobody else can enter.

    It is stopped and removed, with every database in it, when the `with` block ends, at `stop`, or
    when this process ends in any way at all. Where the caller is root, it runs as `nobody`.
    """

    def __init__(self, native: _rebuild.Cluster) -> None:
        self._native = native
        self._numbers = itertools.count(1)

    @property
    def major(self) -> int:
        """The server's major version."""
        return self._native.major()

    @property
    def bin_dir(self) -> Path:
        """The folder of the server's programs."""
        return self._native.bin_dir()

    def endpoint(self, database: str = "postgres") -> Database:
        """The superuser on `database`."""
        parameters = self._native.parameters(database)
        password = parameters.pop("password", None)
        return Database(parameters, password)

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Runs one or more statements on `database` as the superuser.

        Raises:
            RebuildError: A statement failed.
        """
        try:
            self._native.execute(database, sql)
        except RuntimeError as e:
            raise _failure(e) from None

    def database(
        self,
        name: str | None = None,
        *,
        schema: Iterable[str | Path] = (),
        rows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> Database:
        """Makes a database.

        Args:
            name: Its name; without it a new one.
            schema: SQL, or paths of SQL files (without `COPY … FROM stdin`), in order.
            rows: Rows by table, each by column: `{"public.gene": [{"id": 1}]}`. The tables' names
                are SQL, and columns that a row does not have are NULL.
        """
        name = f"test_{next(self._numbers)}" if name is None else name
        self.execute(f"create database {_quoted(name)}")
        for part in schema:
            text = part.read_text(encoding="utf-8") if isinstance(part, Path) else part
            self.execute(text, name)
        for table, some in (rows or {}).items():
            values = json.dumps([dict(row) for row in some])
            literal = "E'" + values.replace("\\", "\\\\").replace("'", "''") + "'"
            filled = f"json_populate_recordset(null::{table}, {literal})"
            self.execute(f"insert into {table} select * from {filled}", name)
        return self.endpoint(name)

    def stop(self) -> None:
        """Stops the server and removes it; nothing, where that was done."""
        self._native.stop()

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def local_cluster(
    *,
    major: int | None = None,
    bin_dir: str | Path | None = None,
    settings: Sequence[str] = (),
    tcp: bool = False,
) -> LocalCluster:
    """Makes and starts a throwaway server.

    Args:
        major: The major version; without it the newest that is installed.
        bin_dir: The folder with `initdb`, `pg_ctl` and `postgres`; otherwise one that is installed.
        settings: Lines for `postgresql.conf`.
        tcp: Listen on 127.0.0.1 too, at a free port, with a password.

    Raises:
        RebuildError: No programs were found, or one of them failed.
    """
    folder = None if bin_dir is None else Path(bin_dir)
    try:
        return LocalCluster(_rebuild.Cluster(folder, major, list(settings), tcp))
    except RuntimeError as e:
        raise _failure(e) from None


def _failure(e: RuntimeError) -> Exception:
    try:
        return of_failure(json.loads(str(e)))
    except ValueError:
        return e


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

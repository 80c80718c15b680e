"""What the tests share: one server, and for each test a database, a folder and a spec of its own."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import rebuild
from rebuild.testing import LocalCluster, local_cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    # What a shell starts in the background ignores SIGINT, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    # Programs under test are found as an operator's are.
    tools = os.environ.get("REBUILD_TEST_CLIENT_BIN")
    if tools is not None:
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    with local_cluster(bin_dir=os.environ.get("REBUILD_TEST_PG_BIN")) as running:
        yield running


@dataclass
class World:
    """A database `name` with the table gene and one row, and where its spec lives."""

    cluster: LocalCluster
    name: str
    folder: Path

    @property
    def url(self) -> str:
        return self.cluster.endpoint(self.name).url()

    def data(self, **more: Any) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "version": 1,
            "target": {"url": self.url},
            "store": {"url": "store"},
            "quiesce": {"read_only": True, "end_sessions": True},
        }
        return spec | more

    def spec(self, **more: Any) -> rebuild.Spec:
        return rebuild.Spec.from_dict(self.data(**more), folder=self.folder)

    def query(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        endpoint = self.cluster.endpoint(database or self.name)
        with psycopg.connect(endpoint.url()) as session:
            return session.execute(sql).fetchall()

    def databases(self) -> list[str]:
        """Every database whose name begins with that of this world."""
        found = self.query(f"select datname from pg_database where datname like '{self.name}%'")
        return sorted(name for (name,) in found)


@pytest.fixture
def world(cluster: LocalCluster, tmp_path: Path) -> World:
    name = f"app{next(_numbers)}"
    cluster.database(
        name,
        schema=["create table gene (id bigint primary key, symbol text not null)"],
        rows={"gene": [{"id": 1, "symbol": "PKD1"}]},
    )
    return World(cluster, name, tmp_path)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module beside the spec, which is forgotten after the test."""
    import sys

    made: list[str] = []

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        made.append(name)

    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield write
    for name in made:
        sys.modules.pop(name, None)

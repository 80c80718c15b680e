"""Fixtures for pytest: `pytest_plugins = ["rebuild.testing.fixtures"]` in a `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import LocalCluster, local_cluster


@pytest.fixture(scope="session")
def rebuild_cluster() -> Iterator[LocalCluster]:
    """A throwaway PostgreSQL server for all tests of the session. Make a database for each test with
    `rebuild_cluster.database(schema=…, rows=…)`.
    """
    with local_cluster() as cluster:
        yield cluster

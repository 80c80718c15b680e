"""What every pipeline step needs when it is run as a command."""

import os
import sys
from collections.abc import Callable

import psycopg


def connect() -> psycopg.Connection:
    """The database that is being filled."""
    url = os.environ["DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://", 1)
    return psycopg.connect(url)


def main(load: Callable[[psycopg.Connection], str]) -> None:
    """Runs one step, and says what it did."""
    try:
        with connect() as db:
            print(load(db))
    except ValueError as e:
        sys.exit(str(e))

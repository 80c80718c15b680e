"""One connection for every pipeline step, to the database that is being filled."""

import os

import psycopg


def connect() -> psycopg.Connection:
    url = os.environ["DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://", 1)
    return psycopg.connect(url)

"""Runs the migrations against the database that the configuration or DATABASE_URL names."""

import os

from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.attributes.get("url") or os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()

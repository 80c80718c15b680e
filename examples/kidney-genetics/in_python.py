"""The same rebuild from a Python pipeline: alembic and the four steps run in this process.

    python in_python.py            rebuild the database
    python in_python.py rollback   bring the old one back
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config

import rebuild
from pipeline import step_1_genes, step_2_annotations, step_3_phenotypes, step_4_scores

HERE = Path(__file__).parent

# What is not Python stays as the file says it: the target, the service, the checks, the health page.
data = rebuild.Spec.load(HERE / "rebuild.toml").to_dict()
del data["schema"], data["load"]
spec = rebuild.Spec.from_dict(data, folder=HERE)


@spec.step.schema
def migrate(db: rebuild.Database, ctx: rebuild.Context) -> None:
    config = Config(HERE / "alembic.ini")
    config.attributes["url"] = db.url("postgresql+psycopg")
    command.upgrade(config, "head")


def step(load: Callable[[psycopg.Connection], str]) -> rebuild.Task:
    """A pipeline step as a step of the run: one transaction on the new database."""

    def run(db: rebuild.Database, ctx: rebuild.Context) -> None:
        with psycopg.connect(db.url()) as connection:
            ctx.log(load(connection))

    return run


spec.step.load("genes", timeout="2m")(step(step_1_genes.load))
spec.step.load("annotations", timeout="2m")(step(step_2_annotations.load))
spec.step.load("phenotypes", timeout="2m")(step(step_3_phenotypes.load))
spec.step.load("scores", timeout="2m")(step(step_4_scores.load))


@spec.step.verify("every gene has a score")
def scored(db: rebuild.Database, ctx: rebuild.Context) -> list[str]:
    with psycopg.connect(db.url()) as connection:
        rows = connection.execute(
            "select symbol from public.gene g where not exists "
            "(select from public.score s where s.gene_id = g.id) order by symbol limit 10"
        )
        return [f"{symbol} has none" for (symbol,) in rows]


if __name__ == "__main__":
    try:
        print(rebuild.rollback(spec) if sys.argv[1:] == ["rollback"] else rebuild.run(spec))
    except rebuild.RunError as e:
        sys.exit(str(e))

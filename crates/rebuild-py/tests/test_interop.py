"""With the packages that people use: alembic, Django, SQLAlchemy, a scheduler's tasks, pytest."""

from __future__ import annotations

import functools
import http.server
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rebuild
from conftest import World
from rebuild import Context, Database

EXAMPLE = Path(__file__).parents[3] / "examples" / "kidney-genetics"


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def kidney(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, with its old database, its backend running, and a page that says so."""
    services = world.folder / "services"
    services.mkdir()
    server = http.server.HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "KIDNEY_DATABASE_URL": world.url,
        "KIDNEY_STORE": (world.folder / "store").as_uri(),
        "KIDNEY_SERVICES": str(services),
        "KIDNEY_HEALTH_URL": f"http://127.0.0.1:{server.server_port}/",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(EXAMPLE))
    subprocess.run([EXAMPLE / "service.sh", "start", "backend"], check=True, cwd=EXAMPLE)
    yield importlib.import_module("in_python")
    for name in [name for name in sys.modules if name.split(".")[0] in ("in_python", "pipeline")]:
        del sys.modules[name]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_kidney_genetics_pipeline(
    kidney: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: rebuild.Spec = kidney.spec
    monkeypatch.setenv("KIDNEY_MIN_LINKS", "1000000")
    with pytest.raises(rebuild.RolledBack, match="phenotypes .* raised ValueError") as caught:
        rebuild.run(spec)
    assert caught.value.where == "load-phenotypes"
    assert world.query("select * from gene") == [(1, "PKD1")]
    assert world.databases() == [world.name]

    monkeypatch.delenv("KIDNEY_MIN_LINKS")
    lines: list[str] = []

    def on_event(event: rebuild.AnyEvent) -> None:
        if isinstance(event, rebuild.Output):
            lines.append(event.line)

    report = rebuild.run(spec, on_event=on_event)
    assert report.ending == "done"
    assert {"500 genes", "1500 annotations", "500 scores"} <= set(lines)
    assert spec.status(drift=False).migration == ("alembic", "0001_consolidated")
    assert world.query("select count(*) from gene_summary where evidence is not null") == [(500,)]
    verdict = rebuild.verify(spec)
    assert verdict and "every gene has a score" in [check.name for check in verdict.checks]
    assert rebuild.rollback(spec).ending == "rolled-back"
    assert world.query("select * from gene") == [(1, "PKD1")]


MODELS = """
from django.db import models

class Gene(models.Model):
    symbol = models.CharField(max_length=20)
    class Meta:
        app_label = "genetics"
        db_table = "gene"
"""

MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Gene", [
            ("id", models.BigAutoField(primary_key=True)),
            ("symbol", models.CharField(max_length=20)),
            ("note", models.TextField(null=True)),
        ], options={"db_table": "gene"}),
    ]
"""


def test_a_django_project_migrates_in_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = world.folder / "genetics"
    (app / "migrations").mkdir(parents=True)
    for file, text in {
        "__init__.py": "",
        "models.py": MODELS,
        "migrations/__init__.py": "",
        "migrations/0001_initial.py": MIGRATION,
    }.items():
        (app / file).write_text(text)
    monkeypatch.syspath_prepend(str(world.folder))
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    # Only the staged database is ever migrated; the one in service is not even named.
    settings.configure(
        INSTALLED_APPS=["genetics"], DATABASES={"default": {}}, USE_TZ=True, SECRET_KEY="x"
    )
    django.setup()
    spec = world.spec()

    @spec.step.schema
    def migrate(db: Database, ctx: Context) -> None:
        databases = connections.configure_settings({"default": {}, "staged": db.django()})
        connections.databases["staged"] = databases["staged"]
        try:
            call_command("migrate", database="staged", verbosity=0)
        finally:
            connections["staged"].close()
            del connections["staged"]

    status = spec.status()
    assert status.drift is not None and status.migration is None
    assert status.new_migration is not None and status.new_migration[0] == "Django"
    assert ("+", "column public.gene.note text") in status.drift.rows()
    assert rebuild.run(spec).ending == "done"
    migration = spec.status(drift=False).migration
    assert migration is not None and migration[0] == "Django"
    assert world.query("select id, symbol, note from gene") == [(1, "PKD1", None)]


def test_an_sqlalchemy_engine_on_the_staged_database(world: World) -> None:
    import sqlalchemy

    spec = world.spec(restore={"source": "none"})
    metadata = sqlalchemy.MetaData()
    gene = sqlalchemy.Table(
        "gene",
        metadata,
        sqlalchemy.Column("id", sqlalchemy.BigInteger, primary_key=True),
        sqlalchemy.Column("symbol", sqlalchemy.Text, nullable=False),
    )

    @spec.step.schema
    def create(db: Database, ctx: Context) -> None:
        engine = sqlalchemy.create_engine(db.url("postgresql+psycopg"))
        metadata.create_all(engine)
        engine.dispose()

    @spec.step.load("genes")
    def load(db: Database, ctx: Context) -> None:
        engine = sqlalchemy.create_engine(db.url("postgresql+psycopg"))
        with engine.begin() as connection:
            connection.execute(gene.insert(), [{"symbol": "UMOD"}])
        engine.dispose()

    assert rebuild.run(spec).ending == "done"
    assert world.query("select * from gene") == [(1, "UMOD")]


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    """As a scheduler's decorator does: the task runs in a worker's thread, and what it returns has
    to be JSON.
    """

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        import json

        with ThreadPoolExecutor(1) as worker:
            return json.loads(json.dumps(worker.submit(function, *args).result()))

    return run


def test_a_scheduled_task(world: World) -> None:
    @task
    def refresh(data: dict[str, Any], folder: str) -> dict[str, Any]:
        return rebuild.run(rebuild.Spec.from_dict(data, folder=folder)).to_dict()

    report = refresh(world.data(), os.fspath(world.folder))
    assert report["ending"] == "done" and report["steps"][-1]["status"] == "done"
    with pytest.raises(rebuild.UsageError):
        refresh({}, ".")


def test_the_fixtures_for_pytest(world: World) -> None:
    (world.folder / "test_mine.py").write_text(
        """
import psycopg
pytest_plugins = ["rebuild.testing.fixtures"]

def test_rows(rebuild_cluster, tmp_path):
    schema = tmp_path / "schema.sql"
    schema.write_text("create table gene (id bigint primary key, symbol text, tags jsonb)")
    rows = [{"id": 1, "symbol": "O'Neil \\\\ \\n x", "tags": {"a": [1]}}, {"id": 2}]
    db = rebuild_cluster.database(schema=[schema, "create view v as table gene"], rows={"gene": rows})
    with psycopg.connect(db.url()) as session:
        assert session.execute("select * from v order by id").fetchall() == [
            (1, "O'Neil \\\\ \\n x", {"a": [1]}), (2, None, None)]
    assert rebuild_cluster.database().name != db.name
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=world.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

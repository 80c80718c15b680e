"""Every verb, on a real server, in both forms."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

import rebuild
from conftest import World
from rebuild.testing import LocalCluster


def test_a_rebuild_from_files_and_back(world: World) -> None:
    (world.folder / "1.sql").write_text(
        "create table gene (id bigint primary key, symbol text not null, note text)"
    )
    spec = world.spec(schema={"source": "files", "files": ["*.sql"]})

    status = spec.status()
    assert status.drift is not None and status.drift
    assert ("+", "column public.gene.note text") in status.drift.rows()
    assert [str(t.table) for t in status.tables] == ["public.gene"]

    plan = spec.plan()
    assert plan.refusals == () and not plan.needs_confirmation
    assert [step.id for step in plan.steps][:3] == ["stop-writes", "backup", "check-backup"]
    assert "public.gene.note" in str(plan)
    plan.save(world.folder / "plan.json")

    report = rebuild.run(spec, plan=rebuild.Plan.load(world.folder / "plan.json"))
    assert report.ending == "done" and report.shut_out_ms is not None
    assert {step.status for step in report.steps} == {"done"}
    assert world.query("select id, symbol, note from gene") == [(1, "PKD1", None)]

    (run,) = rebuild.runs(spec)
    assert run.id == report.run and not run.is_open and run.steps == report.steps
    assert rebuild.show_run(spec, run.id) == run

    back = rebuild.rollback(spec)
    assert back.ending == "rolled-back"
    assert world.query("select * from gene") == [(1, "PKD1")]
    staged = [name for name in world.databases() if name != world.name]
    with pytest.raises(rebuild.Refused, match="is kept until"):
        rebuild.purge(spec)
    assert rebuild.purge(spec, confirm=staged[0], now=True) == staged[0]
    assert world.databases() == [world.name]


def test_a_rehearsal_leaves_nothing(world: World) -> None:
    rehearsal = rebuild.rehearse(world.spec(), "one")
    assert rehearsal and rehearsal.ending == "done" and rehearsal.left == ()
    assert rehearsal.database == f"{world.name}_rehearsal_one"
    assert {step.status for step in rehearsal.steps} == {"done"}
    assert any("quiesce" in line for line in rehearsal.not_rehearsed)
    assert world.databases() == [world.name] and rebuild.runs(world.spec()) == ()

    fails = world.spec(migrate={"argv": ["false"]})
    rehearsal = rebuild.rehearse(fails, "one")
    assert not rehearsal and rehearsal.ending == "rolled-back" and rehearsal.error
    assert "migrate" in {step.id for step in rehearsal.steps if step.status == "failed"}
    assert world.databases() == [world.name]


def test_backups(world: World) -> None:
    spec = world.spec(backup={"csv": True})
    assert rebuild.backups(spec) == ()
    backup = rebuild.backup(spec)
    assert (backup.rows, backup.tables, backup.of.name) == (1, 1, world.name)
    assert rebuild.backups(spec) == (backup,)
    assert rebuild.show_backup(spec)["id"] == backup.id
    assert rebuild.check_backup(spec).verdict.passed
    (file,) = rebuild.export_backup(spec, world.folder / "csv")
    assert file.name.startswith("public.gene.csv")
    (script,) = rebuild.export_backup(spec, world.folder / "sql", format="sql")
    assert script.name == f"{world.name}.sql"
    assert "copy \"public\".\"gene\"" in script.read_text()
    with pytest.raises(ValueError, match="expected `csv` or `sql`"):
        rebuild.export_backup(spec, world.folder / "other", format="xml")  # type: ignore[arg-type]
    assert rebuild.verify(spec, backup=backup.id)
    world.cluster.execute("insert into gene values (3, 'y')", world.name)
    verdict = rebuild.verify(spec, backup=backup.id, rows=True)
    assert not verdict and "+ 3" in str(verdict)
    world.cluster.execute("delete from gene where id = 3", world.name)

    restored = rebuild.restore(spec, f"{world.name}_again", precheck=False)
    assert restored.verdict.passed and restored.database.name == f"{world.name}_again"
    other = world.cluster.endpoint(restored.database.name).url()
    assert rebuild.compare(spec, other).same
    world.cluster.execute("insert into gene values (2, 'x')", restored.database.name)
    comparison = rebuild.compare(spec, other, rows=True)
    assert not comparison.same
    assert comparison.differing[0].keys[0].key == ("2",)
    with pytest.raises(rebuild.Refused, match="did not make"):
        rebuild.restore(spec, restored.database.name)

    newer = rebuild.backup(spec)
    assert rebuild.prune_backups(spec, keep_last=1) == [backup.id]
    assert len(rebuild.backups(spec)) == 2
    assert rebuild.prune_backups(spec, keep_last=1, yes=True) == [backup.id]
    assert rebuild.backups(spec) == (newer,)


def test_a_damaged_backup_is_a_value_where_it_is_asked_and_an_exception_where_it_is_used(
    world: World,
) -> None:
    spec = world.spec()
    backup = rebuild.backup(spec)
    (chunk,) = (world.folder / "store" / "backups" / backup.id / "rows").rglob("*.zst")
    good = chunk.read_bytes()
    chunk.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    checked = rebuild.check_backup(spec)
    assert not checked and not checked.verdict.passed
    with pytest.raises(rebuild.RebuildError) as caught:
        rebuild.restore(spec, f"{world.name}_bad")
    assert caught.value.kind in ("corrupt", "mismatch")
    assert world.databases() == [world.name]


def test_a_dump(world: World) -> None:
    dump = world.folder / "dump.sql"
    dump.write_text(
        "create table public.t (id int);\nCOPY public.t (id) FROM stdin;\n1\n2\n\\.\n"
        "grant select on public.t to cloudsqlsuperuser;\n"
    )
    with pytest.raises(rebuild.Refused, match="superuser"):
        rebuild.restore_dump(world.spec(), dump, f"{world.name}_dump")
    restored = rebuild.restore_dump(world.spec(), dump, f"{world.name}_dump", trust=True)
    assert (restored.rows, restored.tables) == (2, 1)
    assert restored.left_out == {"cloudsqlsuperuser": 1}


def test_a_copy(world: World) -> None:
    target = world.cluster.endpoint(f"{world.name}_copy").url()
    copied = rebuild.copy(world.url, target)
    assert copied.verdict.passed
    assert world.query("select * from gene", f"{world.name}_copy") == [(1, "PKD1")]
    with pytest.raises(rebuild.Refused, match="never replaces"):
        rebuild.copy(world.url, target)


def test_the_asynchronous_forms(world: World) -> None:
    seen: list[str] = []

    async def on_event(event: rebuild.AnyEvent) -> None:
        await asyncio.sleep(0)
        seen.append(type(event).__name__)

    async def main() -> None:
        spec = world.spec()
        plan, status = await asyncio.gather(spec.plan_async(), spec.status_async())
        assert plan.target == status.target
        report = await rebuild.run_async(spec, on_event=on_event)
        assert report.ending == "done"

    asyncio.run(main())
    assert seen[0] == "RunStarted" and seen[-1] == "RunFinished"


def test_the_variables_of_a_spec_may_be_any_mapping(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", world.url)
    data = {"version": 1, "target": {"url": "${URL}"}, "store": {"url": "store"}}
    spec = rebuild.Spec.from_dict(data, folder=world.folder, env=os.environ)
    assert spec.plan().target == rebuild.plan(world.spec()).target


def test_a_spec_from_a_file_and_its_errors(world: World, tmp_path: Path) -> None:
    file = tmp_path / "rebuild.toml"
    file.write_text('version = 1\ntarget.url = "${URL}"\nstore.url = "store"\n')
    spec = rebuild.Spec.load(file, env={"URL": world.url, "PATH": os.environ["PATH"]})
    assert rebuild.run(spec).ending == "done"
    assert spec.to_dict()["target"] == {"url": "${URL}"}
    with pytest.raises(rebuild.UsageError) as caught:
        rebuild.Spec.load(file, env={})
    assert caught.value.where == f"{file}:2:14"
    file.write_text("version = 1\n[target]\nurrl = 1\n")
    with pytest.raises(rebuild.UsageError) as caught:
        rebuild.Spec.load(file)
    assert caught.value.where == f"{file}:3:1"
    assert caught.value.hint is not None and "url" in caught.value.hint
    with pytest.raises(rebuild.UsageError):
        rebuild.Spec.from_dict({"version": 1})


def test_what_is_no_spec(world: World, tmp_path: Path) -> None:
    data = world.data(store={"url": tmp_path / "elsewhere"})
    assert rebuild.Spec.from_dict(data, folder=world.folder).plan().refusals == ()
    with pytest.raises(rebuild.UsageError, match="text, numbers, lists and dicts"):
        rebuild.Spec.from_dict({"version": {1}})
    # What is handed over is not ours to change, nor ours to be changed.
    spec = world.spec()
    spec.to_dict()["store"]["url"] = "changed"
    assert spec.to_dict()["store"] == {"url": "store"}


def test_a_refresh_masks_and_preserves(world: World) -> None:
    prod = f"{world.name}_prod"
    world.cluster.database(
        prod,
        schema=["create table gene (id bigint primary key, symbol text not null)"],
        rows={"gene": [{"id": 1, "symbol": "SECRET1"}, {"id": 2, "symbol": "SECRET2"}]},
    )
    world.cluster.execute("insert into gene values (9, 'MINE')", world.name)
    spec = world.spec(
        source={"url": world.cluster.endpoint(prod).url()},
        mask={"column": [{"column": "public.gene.symbol", "sql": "'gene ' || id"}]},
        preserve=[{"table": "public.gene", "where": "symbol = 'MINE'"}],
    )
    source = spec.plan().source
    assert source is not None and source.database.name == prod
    ((table, column, how),) = source.masked
    assert (str(table), column, how) == ("public.gene", "symbol", "sql")
    assert rebuild.run(spec).ending == "done"
    rows = world.query("select id, symbol from gene order by id")
    assert rows == [(1, "gene 1"), (2, "gene 2"), (9, "MINE")]


def test_production_needs_its_name(world: World) -> None:
    spec = world.spec(target={"url": world.url, "environment": "production"})
    with pytest.raises(rebuild.Refused) as caught:
        rebuild.run(spec)
    assert caught.value.hint == f"give --confirm {world.name}"
    assert rebuild.runs(spec) == ()
    assert rebuild.run(spec, confirm=world.name).ending == "done"


def test_results_are_plain_frozen_and_shown(world: World) -> None:
    spec = world.spec()
    report = rebuild.run(spec)
    results: list[Any] = [spec.status(), spec.plan(), report, rebuild.runs(spec)[0], rebuild.verify(spec)]
    for result in results:
        json.dumps(result.to_dict())
        assert "<table>" in result._repr_html_()
        with pytest.raises(AttributeError):
            setattr(result, dataclasses.fields(result)[0].name, "other")
    for listed in (rebuild.runs(spec), rebuild.backups(spec)):
        assert "<table>" in listed._repr_html_()
    assert repr(report).startswith("Report(run='")
    world.cluster.execute('create table "<b>" ()', world.name)
    assert "<b>" not in spec.status()._repr_html_()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    data = {
        "version": 1,
        "target": {"url": f"postgresql://me@/app?host={tmp_path}", "password": "tr0ub4dor"},
        "store": {"url": "store"},
    }
    with pytest.raises(rebuild.Unreachable) as caught:
        rebuild.Spec.from_dict(data, folder=tmp_path).status()
    assert "tr0ub4dor" not in str(caught.value)


def test_a_cluster_over_tcp_has_a_password_that_does_not_show(cluster: LocalCluster) -> None:
    from rebuild.testing import local_cluster

    with local_cluster(bin_dir=cluster.bin_dir, tcp=True) as other:
        endpoint = other.endpoint()
        assert endpoint.password is not None
        assert endpoint.password not in repr(endpoint)
        spec = rebuild.Spec.from_dict(
            {"version": 1, "target": {"url": endpoint.url()}, "store": {"url": "s"}},
        )
        assert endpoint.password not in repr(spec)
    with pytest.raises(RuntimeError, match="was stopped"):
        other.endpoint()

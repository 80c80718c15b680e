"""Python functions as steps of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import rebuild
from conftest import World
from rebuild import Context, Database, WorkloadState


def connect(db: Database) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(**db.connect_args())  # type: ignore[arg-type]


class Web:
    """A program that is stopped and started."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def look(self, ctx: Context) -> WorkloadState:
        return WorkloadState(running=True, detail={"replicas": 3})

    def stop(self, before: WorkloadState, ctx: Context) -> None:
        self.calls.append(f"stop {before.detail['replicas']}")

    def start(self, before: WorkloadState, ctx: Context) -> None:
        self.calls.append(f"start {before.detail['replicas']}")


class Schema:
    """A `SchemaApplier`."""

    def apply(self, db: Database, ctx: Context) -> None:
        with connect(db) as session:
            session.execute("create table if not exists gene (id bigint primary key, symbol text)")


class Rows:
    """A `Restorer`, whose method is a coroutine."""

    async def restore(self, db: Database, backup: str, ctx: Context) -> int:
        async with await psycopg.AsyncConnection.connect(db.url()) as session:
            await session.execute("truncate gene")
            await session.execute("insert into gene values (1, 'PKD1'), (2, 'PKD2')")
        return 2


def whole(world: World) -> tuple[rebuild.Spec, Web, list[str]]:
    """A spec all of whose parts are functions."""
    spec, web, calls = world.spec(), Web(), []
    spec.step.schema(Schema)
    spec.step.restore(Rows)
    spec.step.workload("web")(web)

    @spec.step.load("annotations", timeout="1m")
    def annotations(db: Database, ctx: Context) -> None:
        calls.append("annotations")
        with connect(db) as session:
            session.execute("insert into gene values (3, 'UMOD') on conflict do nothing")
        ctx.log("three genes")
        ctx.progress(3, 3)

    @spec.step.verify("three genes")
    def three(db: Database, ctx: Context) -> list[str]:
        calls.append(f"three, live: {ctx.live}")
        with connect(db) as session:
            (count,) = session.execute("select count(*) from gene").fetchone() or (0,)
        return [] if count == 3 else [f"{count} genes"]

    @spec.step.after("smoke")
    def smoke(db: Database, ctx: Context) -> None:
        assert db.name == world.name
        calls.append("smoke")

    return spec, web, calls


def test_every_part_can_be_a_function(world: World) -> None:
    spec, web, calls = whole(world)
    plan = spec.plan()
    titles = [step.title for step in plan.steps]
    assert "load rows with annotations" in titles and "run smoke" in titles
    seen: list[rebuild.AnyEvent] = []
    report = rebuild.run(spec, on_event=seen.append)
    assert report.ending == "done"
    assert web.calls == ["stop 3", "start 3"]
    assert calls == ["annotations", "three, live: False", "smoke", "three, live: True"]
    assert world.query("select count(*) from gene") == [(3,)]
    lines = [event.line for event in seen if isinstance(event, rebuild.Output)]
    assert lines == ["three genes"]
    told = [event for event in seen if isinstance(event, rebuild.Progress)]
    assert rebuild.Progress("annotations", 3, 3, "rows") in told
    # The old database comes back with none of the functions but those of the workloads.
    without = world.spec()
    without.step.workload("web")(web)
    assert rebuild.rollback(without).ending == "rolled-back"
    assert web.calls[2:] == ["stop 3", "start 3"]
    assert world.query("select count(*) from gene") == [(1,)]


def test_an_exception_fails_the_step_with_its_traceback(world: World) -> None:
    spec, web, _ = whole(world)

    @spec.step.load("broken")
    def broken(db: Database, ctx: Context) -> None:
        raise ValueError("a bad row in line 7")

    with pytest.raises(rebuild.RolledBack) as caught:
        rebuild.run(spec)
    error = caught.value
    assert error.where == "load-broken"
    assert isinstance(error.__cause__, ValueError)
    report = error.report
    assert report.error is not None
    assert "raised ValueError: a bad row in line 7\nTraceback" in report.error
    assert "test_steps.py" in report.error and "steps.py\", line" in report.error
    assert "/rebuild/steps.py" not in report.error
    (failed,) = [step for step in rebuild.show_run(spec).steps if step.error]
    assert failed.error is not None and "a bad row in line 7" in failed.error
    assert web.calls == ["stop 3", "start 3"]
    assert world.query("select * from gene") == [(1, "PKD1")]
    assert world.databases() == [world.name]


def test_the_cause_is_what_failed_the_run_and_not_what_failed_after_it(world: World) -> None:
    class Stubborn(Web):
        def start(self, before: WorkloadState, ctx: Context) -> None:
            raise RuntimeError("no nodes")

    spec = world.spec()
    spec.step.workload("web")(Stubborn())

    @spec.step.load("broken")
    def broken(db: Database, ctx: Context) -> None:
        raise ValueError("a bad row in line 7")

    with pytest.raises(rebuild.Stuck) as caught:
        rebuild.run(spec)
    assert isinstance(caught.value.__cause__, ValueError)
    failed = [step.error or "" for step in caught.value.report.steps if step.error]
    assert any("a bad row in line 7" in error for error in failed)


def test_what_a_step_says_is_shown_safely_and_in_bounds(world: World) -> None:
    spec = world.spec()
    seen: list[rebuild.AnyEvent] = []

    @spec.step.load("loud")
    def loud(db: Database, ctx: Context) -> None:
        ctx.log("it's 50 %\n\x1b[2Jcleared")
        ctx.warn("look")
        raise ValueError("x" * 10_000_000)

    with pytest.raises(rebuild.RolledBack) as caught:
        rebuild.run(spec, on_event=seen.append)
    lines = [event.line for event in seen if isinstance(event, rebuild.Output)]
    assert lines == ["it's 50 %", "\\u{1b}[2Jcleared"]
    warnings = [e.message for e in seen if isinstance(e, rebuild.Note) and e.level == "warning"]
    assert "loud: look" in warnings
    assert len(caught.value.what) < 100_000


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (["2 genes", "no index"], "2 genes; no index"),
        ("too few", "too few"),
        (False, "it is not as it should be"),
        (AssertionError("seven"), "seven"),
    ],
)
def test_a_check_that_complains_is_a_mismatch(
    world: World, found: object, complaint: str
) -> None:
    spec = world.spec()

    @spec.step.verify("genes")
    def genes(db: Database, ctx: Context) -> object:
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(rebuild.RolledBack) as caught:
        rebuild.run(spec)
    assert f"genes: {complaint}" in caught.value.what
    verdict = rebuild.verify(spec)
    assert not verdict
    assert [check.name for check in verdict.failures] == ["genes"]
    # The usual checks are not left out for it.
    assert {"sequences", "indexes"} <= {check.name for check in verdict.checks}


def test_a_check_that_cannot_tell_is_no_verdict(world: World) -> None:
    spec = world.spec()

    @spec.step.verify("genes")
    def genes(db: Database, ctx: Context) -> None:
        raise RuntimeError("no network")

    with pytest.raises(rebuild.ProgramError, match="no network"):
        rebuild.verify(spec)


def test_a_halted_run_goes_on_in_its_functions(world: World) -> None:
    spec = world.spec(restore={"source": "none"})
    tries: list[int] = []

    @spec.step.load("genes")
    def genes(db: Database, ctx: Context) -> None:
        tries.append(1)
        if len(tries) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                ctx.check()
                time.sleep(0.01)
        with connect(db) as session:
            session.execute("truncate gene; insert into gene values (9, 'x')")

    with pytest.raises(KeyboardInterrupt) as caught:
        rebuild.run(spec)
    halted = caught.value.__cause__
    assert isinstance(halted, rebuild.Halted)
    assert halted.hint == f"rebuild resume {halted.report.run}"
    report = rebuild.resume(spec)
    assert report.run == halted.report.run and report.ending == "done"
    assert world.query("select id from gene") == [(9,)]


def test_another_spec_cannot_go_on_with_a_run(world: World) -> None:
    spec, _, _ = whole(world)

    @spec.step.load("stop")
    def stop(db: Database, ctx: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 30
        while not ctx.stopping and time.monotonic() < deadline:
            time.sleep(0.01)
        raise RuntimeError("stopped")

    with pytest.raises(KeyboardInterrupt):
        rebuild.run(spec)
    other, _, _ = whole(world)
    with pytest.raises(rebuild.Refused, match="spec"):
        rebuild.resume(other)
    assert rebuild.rollback(spec).ending == "rolled-back"


def test_a_function_that_does_not_end_is_interrupted(world: World) -> None:
    spec = world.spec()
    ended: list[str] = []

    @spec.step.load("slow", timeout="1s")
    def slow(db: Database, ctx: Context) -> None:
        try:
            while True:
                time.sleep(0.01)
        except Exception:
            ended.append("swallowed")
        finally:
            ended.append("left")

    began = time.monotonic()
    with pytest.raises(rebuild.RolledBack, match="slow did not end within 1s"):
        rebuild.run(spec)
    assert ended == ["left"]
    assert time.monotonic() - began < 30


MODULE = """
import psycopg

class Web:
    def look(self, ctx): return True
    def stop(self, before, ctx): ctx.log("stopped")
    def start(self, before, ctx): ctx.log("started")

def genes(db, ctx):
    with psycopg.connect(db.url()) as session:
        session.execute("insert into gene values (7, 'seven')")

class inner:
    @staticmethod
    def check(db, ctx):
        with psycopg.connect(db.url()) as session:
            assert session.execute("select count(*) from gene").fetchone() == (2,)
"""

PARTS = """
[[workload]]
name = "web"
function = "pipeline_parts:Web"
[[load]]
name = "genes"
function = "pipeline_parts:genes"
[[verify]]
kind = "function"
name = "two"
function = "pipeline_parts:inner.check"
# The load adds to the rows of the backup, which the usual checks do not expect.
[[verify]]
kind = "indexes"
"""


def write_spec(world: World, parts: str) -> Path:
    file = world.folder / "rebuild.toml"
    file.write_text(
        f'version = 1\ntarget.url = "{world.url}"\nstore.url = "store"\n'
        f"quiesce = {{ read_only = true, end_sessions = true }}\n{parts}"
    )
    return file


def test_functions_are_named_by_the_file(
    world: World, module: Callable[[str, str], None]
) -> None:
    module("pipeline_parts", MODULE)
    assert rebuild.run(write_spec(world, PARTS)).ending == "done"
    assert world.query("select count(*) from gene") == [(2,)]


def test_the_command_line_runs_functions_too(
    world: World, module: Callable[[str, str], None]
) -> None:
    module("pipeline_parts", MODULE)
    file = write_spec(world, PARTS)

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rebuild", "-f", str(file), *words],
            capture_output=True,
            text=True,
            check=False,
        )

    done = command("run")
    assert done.returncode == 0, done.stderr
    assert "stopped" in done.stderr
    assert world.query("select count(*) from gene") == [(2,)]
    assert command("rollback").returncode == 0
    assert command("--help").returncode == 0
    assert command("rnu").returncode == 2
    (world.folder / "pipeline_parts.py").write_text("def other(): ...\n")
    refused = command("run")
    assert refused.returncode == 3
    assert "there is no genes in pipeline_parts" in refused.stderr
    script = Path(sys.executable).with_name("rebuild")
    version = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"rebuild {rebuild.__version__}\n"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("nowhere_at_all:f", "nowhere_at_all cannot be imported: ModuleNotFoundError"),
        ("pipeline_parts", "names no function: write module:name"),
        ("pipeline_parts:inner.missing", "there is no inner.missing in pipeline_parts"),
        ("pipeline_parts:__name__", "is no task"),
        ("pipeline_broken:f", "pipeline_broken cannot be imported: ZeroDivisionError"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_touched(
    world: World, module: Callable[[str, str], None], function: str, why: str
) -> None:
    module("pipeline_parts", MODULE)
    module("pipeline_broken", "1 / 0\n")
    file = write_spec(world, f'[[load]]\nname = "genes"\nfunction = "{function}"\n')
    with pytest.raises(rebuild.Refused, match="genes: ") as caught:
        rebuild.run(file)
    assert why in caught.value.what
    assert rebuild.runs(file) == ()


def test_two_parts_of_one_name_are_refused(world: World) -> None:
    spec = world.spec()
    spec.step.load("genes")(lambda db, ctx: None)
    with pytest.raises(rebuild.UsageError, match='"genes" is there twice'):
        spec.step.load("genes")(lambda db, ctx: None)
    # What is refused is not there.
    assert len(spec.to_dict()["load"]) == 1


@pytest.fixture
def role(world: World) -> Iterator[str]:
    """A superuser with a password, who comes over TCP."""
    from rebuild.testing import local_cluster

    with local_cluster(bin_dir=world.cluster.bin_dir, tcp=True) as cluster:
        yield cluster.database("app", schema=["create table gene (id bigint)"]).url()


def test_a_password_in_an_exception_does_not_show(
    world: World, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec = world.spec(target={"url": role})
    password = role.split(":")[2].split("@")[0]

    @spec.step.load("leak")
    def leak(db: Database, ctx: Context) -> None:
        assert password in db.url() and password not in repr(db)
        ctx.log(f"connecting to {db.url()}")
        ctx.warn(db.url())
        raise RuntimeError(f"no connection to {db.url()}")

    with caplog.at_level("DEBUG"), pytest.raises(rebuild.RolledBack) as caught:
        rebuild.run(spec)
    assert "no connection to postgresql://postgres:***@" in caught.value.what
    journal = b"".join(
        file.read_bytes() for file in (world.folder / "store").rglob("*") if file.is_file()
    )
    assert password.encode() not in journal
    assert password not in caplog.text and password not in str(caught.value)


def test_a_password_in_a_complaint_does_not_show(world: World, role: str) -> None:
    spec = world.spec(target={"url": role})
    password = role.split(":")[2].split("@")[0]

    @spec.step.verify("returned")
    def returned(db: Database, ctx: Context) -> list[str]:
        return [f"nothing in {db.url()}"]

    @spec.step.verify("asserted")
    def asserted(db: Database, ctx: Context) -> None:
        raise AssertionError(f"nothing at {db.url()}")

    with pytest.raises(rebuild.RolledBack) as caught:
        rebuild.run(spec)
    error = caught.value.report.error
    assert error is not None
    for said in ("nothing in", "nothing at"):
        assert f"{said} postgresql://postgres:***@" in error
    assert password not in error

"""Ctrl-C, cancelled tasks, callbacks that fail, and processes that fork."""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest

import rebuild
from conftest import World
from rebuild import Context, Database


def wait_for_stop(ctx: Context) -> None:
    deadline = time.monotonic() + 30
    while not ctx.stopping:
        assert time.monotonic() < deadline, "nobody asks the step to stop"
        time.sleep(0.005)


def test_ctrl_c_is_heard_within_a_tenth_of_a_second(world: World) -> None:
    spec, moments = world.spec(), dict[str, float]()

    @spec.step.load("waits")
    def waits(db: Database, ctx: Context) -> None:
        moments["pressed"] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        wait_for_stop(ctx)
        moments["heard"] = time.monotonic()
        raise RuntimeError("stopped")

    with pytest.raises(KeyboardInterrupt) as caught:
        rebuild.run(spec)
    assert isinstance(caught.value.__cause__, rebuild.Halted)
    assert moments["heard"] - moments["pressed"] < 0.1
    assert rebuild.rollback(spec).ending == "rolled-back"


def test_ctrl_c_twice_leaves_at_once(world: World) -> None:
    spec, left = world.spec(), threading.Event()

    @spec.step.load("waits")
    def waits(db: Database, ctx: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        wait_for_stop(ctx)
        os.kill(os.getpid(), signal.SIGINT)
        left.wait(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rebuild.run(spec)
    assert time.monotonic() - began < 15
    left.set()
    (run,) = rebuild.runs(spec)
    assert run.is_open and run.ending is None
    # As after a kill: the lock goes with its connection, and the way back is open.
    deadline = time.monotonic() + 20
    while True:
        try:
            assert rebuild.rollback(spec).ending == "rolled-back"
            break
        except rebuild.Refused:
            assert time.monotonic() < deadline
    assert world.databases() == [world.name]


KILLED = """
import os, signal, sys
import psycopg
import rebuild

spec = rebuild.Spec.load("rebuild.toml")

@spec.step.load("genes")
def genes(db, ctx):
    with psycopg.connect(db.url()) as session:
        session.execute("truncate gene; insert into gene values (7, 'UMOD')")
    if sys.argv[1:] == ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1:] == ["die"]:
    rebuild.run(spec)
else:
    print(rebuild.resume(spec).ending)
"""


def test_a_process_that_is_killed_in_a_step_goes_on_in_the_next(world: World) -> None:
    (world.folder / "rebuild.toml").write_text(
        f'version = 1\ntarget.url = "{world.url}"\nstore.url = "store"\n'
        "quiesce = { read_only = true, end_sessions = true }\n"
        '[[verify]]\nkind = "indexes"\n'
    )
    script = world.folder / "script.py"
    script.write_text(KILLED)

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *words]
        return subprocess.run(
            command, cwd=world.folder, capture_output=True, text=True, check=False
        )

    assert python("die").returncode == -signal.SIGKILL
    assert world.query("select * from gene") == [(1, "PKD1")]
    assert (world.folder / "store").is_dir()
    resumed = python()
    assert (resumed.returncode, resumed.stdout) == (0, "done\n"), resumed.stderr
    assert world.query("select * from gene") == [(7, "UMOD")]


def test_a_callback_that_fails_stops_the_run(world: World) -> None:
    spec = world.spec()
    calls: list[str] = []

    def on_event(event: rebuild.AnyEvent) -> None:
        calls.append(type(event).__name__)
        if isinstance(event, rebuild.StepFinished) and event.step == "backup":
            raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError, match="in the callback") as caught:
        rebuild.run(spec, on_event=on_event)
    assert calls[-1] == "StepFinished"
    assert isinstance(caught.value.__cause__, rebuild.Halted)
    assert rebuild.resume(spec).ending == "done"


def test_no_event_is_lost_to_ctrl_c(world: World) -> None:
    seen: list[int] = []
    last: list[str] = []

    def on_event(event: rebuild.AnyEvent) -> None:
        if isinstance(event, rebuild.Event):
            seen.append(event.seq)
            last.append(type(event).__name__)
        if isinstance(event, rebuild.StepStarted) and event.step == "stop-writes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild.run(world.spec(), on_event=on_event)
    assert seen == list(range(1, len(seen) + 1))
    assert last[-1] == "RunFinished"
    assert rebuild.rollback(world.spec()).ending == "rolled-back"


def test_an_awaited_callback_that_fails_stops_the_run(world: World) -> None:
    calls: list[str] = []

    async def on_event(event: rebuild.AnyEvent) -> None:
        calls.append(type(event).__name__)
        await asyncio.sleep(0)
        raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError):
        asyncio.run(rebuild.run_async(world.spec(), on_event=on_event))
    assert len(calls) == 1
    (run,) = rebuild.runs(world.spec())
    assert run.ending in ("halted", "done")


def test_a_cancelled_task_stops_at_a_safe_point(world: World) -> None:
    spec, began = world.spec(), asyncio.Event()

    @spec.step.load("waits")
    def waits(db: Database, ctx: Context) -> None:
        loop.call_soon_threadsafe(began.set)
        wait_for_stop(ctx)
        raise RuntimeError("stopped")

    async def main() -> None:
        global loop
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(rebuild.run_async(spec))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (run,) = rebuild.runs(spec)
    assert run.ending == "halted"
    assert rebuild.rollback(spec, run.id).ending == "rolled-back"


loop: asyncio.AbstractEventLoop


def test_the_interpreter_is_free_while_the_engine_works(world: World) -> None:
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    with psycopg.connect(world.url) as session:
        session.execute("insert into gene select i, 'x' from generate_series(2, 200000) i")
    before, began = ticks[0], time.monotonic()
    rebuild.backup(world.spec())
    ticked, seconds = ticks[0] - before, time.monotonic() - began
    over.set()
    thread.join()
    # Held the whole time, it would have ticked not even once.
    assert ticked > 50 * seconds


def _in_child(url: str, folder: str) -> int:
    data = {"version": 1, "target": {"url": url}, "store": {"url": "store"}}
    return rebuild.backup(rebuild.Spec.from_dict(data, folder=folder)).rows


def _failing_child(url: str, folder: str) -> int:
    data = {"version": 1, "target": {"url": url}, "store": {"url": "store"}}
    spec = rebuild.Spec.from_dict(data, folder=folder)
    rebuild.restore(spec, "postgres", backup="bak-20000101t000000z-0000000000000000")
    return 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_works_and_its_exceptions_come_back(world: World) -> None:
    # The engine of this process has threads, which a fork does not have.
    assert rebuild.runs(world.spec()) == ()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        task = pool.apply_async(_in_child, (world.url, str(world.folder)))
        assert task.get(timeout=60) == 1
        failing = pool.apply_async(_failing_child, (world.url, str(world.folder)))
        with pytest.raises(rebuild.RebuildError) as caught:
            failing.get(timeout=60)
    assert "bak-20000101t000000z-0000000000000000" in str(caught.value)


def test_exceptions_are_whole_after_a_journey() -> None:
    error = rebuild.Refused("no", where="a:1:2", hint="so", causes=("why",))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (rebuild.Refused, "no\n  because: why\n\nhint: so")
    report = rebuild.Report(
        run="run-1",
        ending="halted",
        error="x",
        hint=None,
        notes=(),
        printed=(),
        left=(),
        next="resume",
        shut_out_ms=None,
        seconds=1.0,
        steps=(),
    )
    halted = pickle.loads(pickle.dumps(rebuild.Halted(report)))
    assert halted.report == report and halted.hint == "resume"
    advised = rebuild.Halted(dataclasses.replace(report, hint="see to the store"))
    assert advised.hint == "see to the store; next: resume"

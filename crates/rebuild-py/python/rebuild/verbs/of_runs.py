"""The verbs of runs: see, plan, run, go on, go back, purge."""

from __future__ import annotations

from typing import Any

from .._call import Call, asynchronous, blocking
from ..errors import Halted, RolledBack, Stuck
from ..events import OnEvent
from ..results import Plan, Rehearsal, Report, Run, Runs, Status
from .request import AnySpec, as_it_is, call


@blocking
def status(spec: AnySpec, *, drift: bool = True, on_event: OnEvent | None = None) -> Call[Status]:
    """What is there: the target, its drift, its migration version, the last runs.

    Args:
        spec: The spec.
        drift: Make a scratch database to look for drift, and remove it.
        on_event: Called with every event.
    """
    return call(spec, "status", Status.of, on_event, drift=drift)


@blocking
def plan(spec: AnySpec, *, drift: bool = True, on_event: OnEvent | None = None) -> Call[Plan]:
    """What a run would do, and what would be lost. Nothing is touched.

    A guard that refuses is in `refusals` of the plan; such a plan does not run.

    Args:
        spec: The spec.
        drift: Make a scratch database to look for drift, and remove it.
        on_event: Called with every event.
    """
    return call(spec, "plan", Plan.of, on_event, drift=drift)


@blocking
def run(
    spec: AnySpec,
    *,
    plan: Plan | None = None,
    confirm: str | None = None,
    on_event: OnEvent | None = None,
) -> Call[Report]:
    """Rebuilds the target.

    *Destroys* nothing: the old database is kept, closed, until `purge`.

    Args:
        spec: The spec.
        plan: Run this plan, and refuse if the state is no longer the one it was made from.
        confirm: The target's name; needed for targets labelled as production.
        on_event: Called with every event.

    Raises:
        Refused: A guard refused, or the plan is stale; nothing was touched.
        RolledBack: It failed, and everything is as it was.
        Halted: It stopped half-way; `resume` or `rollback` goes on.
        Stuck: It could not go back by itself; the hint names the command to type.
    """
    document = None if plan is None else dict(plan.document)
    return call(spec, "run", _done, on_event, plan=document, confirm=confirm)


@blocking
def rehearse(spec: AnySpec, name: str, *, on_event: OnEvent | None = None) -> Call[Rehearsal]:
    """Does the whole run on a copy of the target, and removes everything that it made.

    The target is only read. What reaches further (workloads, after-steps, hooks) is left out, and listed.
    What an earlier rehearsal of that name left is removed first.

    *Destroys* what it made itself.

    Args:
        spec: The spec.
        name: The name of the rehearsal: of its workspaces, and a part of the name of its database.
        on_event: Called with every event.

    Returns:
        What the run would have come to; false unless that is its end.

    Raises:
        Refused: The run itself would be refused, or something of that name is there that no rehearsal made.
    """
    return call(spec, "rehearse", Rehearsal.of, on_event, name=name)


@blocking
def resume(
    spec: AnySpec, run: str | None = None, *, on_event: OnEvent | None = None
) -> Call[Report]:
    """Goes on with a run that was killed or halted.

    Args:
        spec: The spec, as it was when the run began, its functions among it.
        run: The run's id; without it the newest.
        on_event: Called with every event.

    Raises:
        Refused: The spec has changed, or there is nothing to go on with.
        RolledBack: It failed, and everything is as it was.
        Halted: It stopped half-way again.
        Stuck: It could not go back by itself.
    """
    return call(spec, "resume", _done, on_event, run=run)


@blocking
def rollback(
    spec: AnySpec,
    run: str | None = None,
    *,
    confirm: str | None = None,
    accept_writes: bool = False,
    on_event: OnEvent | None = None,
) -> Call[Report]:
    """Brings the old database back.

    Args:
        spec: The spec. Of its functions only those that stop and start workloads are needed.
        run: The run's id; without it the newest.
        confirm: The target's name; needed for targets labelled as production.
        accept_writes: Go back even if rows were written to the new database; they stay in it, kept
            aside.
        on_event: Called with every event.

    Raises:
        Refused: There is nothing to bring back, the name was not given, or rows were written to the
            new database since.
        Halted: It was asked to stop.
        Stuck: The way back failed; it can be tried again.
    """
    return call(
        spec,
        "rollback",
        _gone_back,
        on_event,
        run=run,
        confirm=confirm,
        accept_writes=accept_writes,
    )


@blocking
def purge(
    spec: AnySpec,
    run: str | None = None,
    *,
    confirm: str | None = None,
    now: bool = False,
    on_event: OnEvent | None = None,
) -> Call[str | None]:
    """Destroys what a run set aside, for good, and returns its name; None if it is gone already.

    Args:
        spec: The spec.
        run: The run's id; without it the newest.
        confirm: The name of the target; after a rollback, that of the new database, which is what is destroyed then.
        now: Do not wait for the retention to end.
        on_event: Called with every event.

    Raises:
        Refused: Its retention has not ended, or neither a proven backup nor its name allows it.
    """
    return call(spec, "purge", as_it_is, on_event, run=run, confirm=confirm, now=now)


@blocking
def runs(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Runs]:
    """Every run in the store, newest first."""
    return call(spec, "runs", lambda v: Runs(map(Run.of, v)), on_event)


@blocking
def show_run(
    spec: AnySpec, run: str | None = None, *, on_event: OnEvent | None = None
) -> Call[Run]:
    """One run, the newest without an id: its steps, and how long each took."""
    return call(spec, "show_run", Run.of, on_event, run=run)


_FAILED = {"rolled-back": RolledBack, "halted": Halted, "stuck": Stuck}


def _done(value: Any) -> Report:
    report = Report.of(value)
    if report.ending != "done":
        raise _FAILED[report.ending](report)
    return report


def _gone_back(value: Any) -> Report:
    report = Report.of(value)
    if report.ending in ("halted", "stuck"):
        raise _FAILED[report.ending](report)
    return report


status_async = asynchronous(status)
plan_async = asynchronous(plan)
run_async = asynchronous(run)
rehearse_async = asynchronous(rehearse)
resume_async = asynchronous(resume)
rollback_async = asynchronous(rollback)
purge_async = asynchronous(purge)
runs_async = asynchronous(runs)
show_run_async = asynchronous(show_run)

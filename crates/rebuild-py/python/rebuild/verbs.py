"""The verbs: one for each of the command line, each in a blocking and an asynchronous form.

The blocking form hears Ctrl-C within a tenth of a second: the work stops at its next safe point, and
`KeyboardInterrupt` comes out of the call; a second Ctrl-C leaves at once. The asynchronous form does
the same when its task is cancelled. What was begun can be resumed or rolled back in every case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from ._call import Call, asynchronous, blocking
from .errors import Halted, Mismatch, RolledBack, Stuck
from .events import OnEvent
from .results import (
    Backup,
    Backups,
    CheckedBackup,
    Comparison,
    Plan,
    Report,
    Restored,
    RestoredDump,
    Run,
    Runs,
    Status,
    Verdict,
)
from .spec import Spec

T = TypeVar("T")

AnySpec: TypeAlias = Spec | str | PathLike[str]
"""A spec, or the path of its file."""


def _call(
    spec: AnySpec,
    verb: str,
    parse: Callable[[Any], T],
    on_event: OnEvent | None,
    **options: Any,
) -> Call[T]:
    loaded = spec if isinstance(spec, Spec) else Spec.load(spec)
    request, functions = loaded.request()
    request |= {"verb": verb, **options}
    return Call(request, parse, functions=functions, on_event=on_event)


@blocking
def status(spec: AnySpec, *, drift: bool = True, on_event: OnEvent | None = None) -> Call[Status]:
    """What is there: the target, its drift, its migration version, the last runs.

    Args:
        spec: The spec.
        drift: Make a scratch database to look for drift, and remove it.
        on_event: Called with every event.
    """
    return _call(spec, "status", Status.of, on_event, drift=drift)


@blocking
def plan(spec: AnySpec, *, drift: bool = True, on_event: OnEvent | None = None) -> Call[Plan]:
    """What a run would do, and what would be lost. Nothing is touched.

    A guard that refuses is in `refusals` of the plan; such a plan does not run.

    Args:
        spec: The spec.
        drift: Make a scratch database to look for drift, and remove it.
        on_event: Called with every event.
    """
    return _call(spec, "plan", Plan.of, on_event, drift=drift)


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
    return _call(spec, "run", _done, on_event, plan=document, confirm=confirm)


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
    return _call(spec, "resume", _done, on_event, run=run)


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
        Refused: There is nothing to bring back, or the name was not given.
        Halted: Rows were written to the new database since, or it was asked to stop.
        Stuck: The way back failed; it can be tried again.
    """
    return _call(
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
        confirm: The name of the database to destroy.
        now: Do not wait for the retention to end.
        on_event: Called with every event.

    Raises:
        Refused: Its retention has not ended, or neither a proven backup nor its name allows it.
    """
    return _call(spec, "purge", _as_it_is, on_event, run=run, confirm=confirm, now=now)


@blocking
def backup(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Backup]:
    """Takes a backup of the target, and proves it by reading it back.

    Raises:
        Mismatch: What was read back is not what was written: it is no backup.
    """
    return _call(spec, "backup", _proven, on_event)


@blocking
def backups(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Backups]:
    """The finished backups in the store, newest first."""
    return _call(spec, "backups", lambda v: Backups(map(Backup.parse, v)), on_event)


@blocking
def show_backup(
    spec: AnySpec, backup: str | None = None, *, on_event: OnEvent | None = None
) -> Call[Mapping[str, Any]]:
    """The manifest of a backup, of the newest one without an id."""
    return _call(spec, "show_backup", _as_it_is, on_event, backup=backup)


@blocking
def check_backup(
    spec: AnySpec,
    backup: str | None = None,
    *,
    restore: bool = False,
    server_programs: str | PathLike[str] | None = None,
    on_event: OnEvent | None = None,
) -> Call[CheckedBackup]:
    """Reads a backup back. A difference is in the result, which is false then.

    Args:
        spec: The spec.
        backup: The backup's id; without it the newest.
        restore: Restore it too, into a throwaway server on this machine, and compare every row.
        server_programs: The folder with that server's programs; without it installed ones.
        on_event: Called with every event.
    """
    programs = None if server_programs is None else fspath(server_programs)
    return _call(
        spec,
        "check_backup",
        CheckedBackup.parse,
        on_event,
        backup=backup,
        restore=restore,
        server_programs=programs,
    )


@blocking
def export_backup(
    spec: AnySpec,
    to: str | PathLike[str],
    backup: str | None = None,
    *,
    on_event: OnEvent | None = None,
) -> Call[list[Path]]:
    """Writes the tables of a backup as CSV files into the folder `to`, which is new or empty."""

    def paths(value: Any) -> list[Path]:
        return [Path(path) for path in value]

    return _call(spec, "export_backup", paths, on_event, backup=backup, to=fspath(to))


@blocking
def prune_backups(
    spec: AnySpec,
    *,
    keep_last: int | None = None,
    keep_days: int | None = None,
    yes: bool = False,
    on_event: OnEvent | None = None,
) -> Call[list[str]]:
    """Removes old backups of the target, never the newest full one, and returns their ids.

    *Destroys* those copies of the data; without `yes` it only says which.

    Args:
        spec: The spec.
        keep_last: Keep at least this many; without any rule the spec's.
        keep_days: Keep those of the last days.
        yes: Remove them.
        on_event: Called with every event.
    """
    return _call(
        spec, "prune", _as_it_is, on_event, keep_last=keep_last, keep_days=keep_days, yes=yes
    )


@blocking
def restore(
    spec: AnySpec,
    into: str,
    *,
    backup: str | None = None,
    tables: Sequence[str] = (),
    on_event: OnEvent | None = None,
) -> Call[Restored]:
    """Restores a backup into a new database beside the target, and compares every row.

    Args:
        spec: The spec.
        into: The name of the new database.
        backup: The backup's id; without it the newest.
        tables: Patterns of `schema.table`: restore the rows of these tables alone.
        on_event: Called with every event.

    Raises:
        Refused: The name is taken, or the backup is of another database or not whole.
        Mismatch: The rows are not those of the backup.
    """
    return _call(
        spec, "restore", _restored, on_event, backup=backup, into=into, tables=list(tables)
    )


@blocking
def restore_dump(
    spec: AnySpec,
    dump: str | PathLike[str],
    into: str,
    *,
    roles: Mapping[str, str] | None = None,
    drop_roles: Sequence[str] = (),
    trust: bool = False,
    on_event: OnEvent | None = None,
) -> Call[RestoredDump]:
    """Restores a dump of pg_dump (an archive, or SQL) into a new database beside the target.

    Args:
        spec: The spec.
        dump: The dump.
        into: The name of the new database.
        roles: Other names for roles of the dump.
        drop_roles: Roles of the dump to leave out.
        trust: Run the dump's SQL even as a superuser.
        on_event: Called with every event.

    Raises:
        Refused: The name is taken, or the dump holds what is refused.
        Mismatch: The rows that arrived are not as many as the dump has.
    """
    return _call(
        spec,
        "restore_dump",
        _restored_dump,
        on_event,
        dump=fspath(dump),
        into=into,
        roles=dict(roles or {}),
        drop_roles=list(drop_roles),
        trusted=trust,
    )


@blocking
def verify(
    spec: AnySpec, *, backup: str | None = None, on_event: OnEvent | None = None
) -> Call[Verdict]:
    """Verifies the target as it is, or against a backup. A difference is in the verdict, which is
    false then.

    Args:
        spec: The spec.
        backup: The id of the backup to compare with.
        on_event: Called with every event.
    """
    return _call(spec, "verify", Verdict.of, on_event, backup=backup)


@blocking
def compare(
    spec: AnySpec, other: str, *, rows: bool = False, on_event: OnEvent | None = None
) -> Call[Comparison]:
    """Compares every row of the target with those of another database.

    Args:
        spec: The spec.
        other: The other database: a URL or a conninfo string.
        rows: Name the keys of the rows that differ.
        on_event: Called with every event.
    """
    return _call(spec, "compare", Comparison.of, on_event, other=other, rows=rows)


@blocking
def copy(
    source: str,
    target: str,
    *,
    maintenance_database: str = "postgres",
    backup_folder: str | PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    on_event: OnEvent | None = None,
) -> Call[Restored]:
    """Copies a database into a new one, from server to server, and compares every row.

    Args:
        source: The database to copy: a URL or a conninfo string.
        target: The database to make; it must not exist yet.
        maintenance_database: The database to connect to on the target's server until then.
        backup_folder: Copy by way of a proven backup in this folder, which stays there.
        env: Variables in the place of `os.environ`.
        on_event: Called with every event.

    Raises:
        Refused: The target exists.
        Mismatch: The rows are not those of the source.
    """
    request = {
        "spec": None,
        "folder": ".",
        "env": None if env is None else dict(env),
        "verb": "copy",
        "source": source,
        "target": target,
        "maintenance_database": maintenance_database,
        "backup_folder": None if backup_folder is None else fspath(backup_folder),
    }
    return Call(request, _restored, on_event=on_event)


@blocking
def runs(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Runs]:
    """Every run in the store, newest first."""
    return _call(spec, "runs", lambda v: Runs(map(Run.of, v)), on_event)


@blocking
def show_run(
    spec: AnySpec, run: str | None = None, *, on_event: OnEvent | None = None
) -> Call[Run]:
    """One run, the newest without an id: its steps, and how long each took."""
    return _call(spec, "show_run", Run.of, on_event, run=run)


def _as_it_is(value: Any) -> Any:
    return value


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


def _require(verdict: Verdict, what: str) -> None:
    if not verdict.passed:
        complaints = [f"{check.name}: {'; '.join(check.because)}" for check in verdict.failures]
        raise Mismatch(what, causes=tuple(complaints) or ("no check ran",))


def _proven(value: Any) -> Backup:
    checked = CheckedBackup.parse(value)
    _require(checked.verdict, f"backup {checked.backup.id} is not what was written")
    return checked.backup


def _restored(value: Any) -> Restored:
    restored = Restored.parse(value)
    _require(restored.verdict, f"{restored.database} does not hold the rows that it should")
    return restored


def _restored_dump(value: Any) -> RestoredDump:
    restored = RestoredDump.parse(value)
    _require(restored.verdict, f"{restored.database} does not hold the rows that it should")
    return restored


status_async = asynchronous(status)
plan_async = asynchronous(plan)
run_async = asynchronous(run)
resume_async = asynchronous(resume)
rollback_async = asynchronous(rollback)
purge_async = asynchronous(purge)
backup_async = asynchronous(backup)
backups_async = asynchronous(backups)
show_backup_async = asynchronous(show_backup)
check_backup_async = asynchronous(check_backup)
export_backup_async = asynchronous(export_backup)
prune_backups_async = asynchronous(prune_backups)
restore_async = asynchronous(restore)
restore_dump_async = asynchronous(restore_dump)
verify_async = asynchronous(verify)
compare_async = asynchronous(compare)
copy_async = asynchronous(copy)
runs_async = asynchronous(runs)
show_run_async = asynchronous(show_run)

"""The verbs of rows: take, check, list and restore backups; verify, compare and copy databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from .._call import Call, asynchronous, blocking
from ..errors import Mismatch
from ..events import OnEvent
from ..results import Backup, Backups, CheckedBackup, Comparison, Restored, RestoredDump, Verdict
from .request import AnySpec, as_it_is, call


@blocking
def backup(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Backup]:
    """Takes a backup of the target, and proves it by reading it back.

    Raises:
        Mismatch: What was read back is not what was written: it is no backup.
    """
    return call(spec, "backup", _proven, on_event)


@blocking
def backups(spec: AnySpec, *, on_event: OnEvent | None = None) -> Call[Backups]:
    """The finished backups in the store, newest first."""
    return call(spec, "backups", lambda v: Backups(map(Backup.parse, v)), on_event)


@blocking
def show_backup(
    spec: AnySpec, backup: str | None = None, *, on_event: OnEvent | None = None
) -> Call[Mapping[str, Any]]:
    """The manifest of a backup, of the newest one without an id."""
    return call(spec, "show_backup", as_it_is, on_event, backup=backup)


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
    return call(
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
    format: Literal["csv", "sql"] = "csv",
    on_event: OnEvent | None = None,
) -> Call[list[Path]]:
    """Writes a backup into the folder `to`, which is new or empty, and gives the files.

    As `csv` there is a file with a header for each table. As `sql` there is one file, schema and rows,
    that psql loads into an empty database as a superuser, making the roles that are missing; its head
    says how.
    """

    def paths(value: Any) -> list[Path]:
        return [Path(path) for path in value]

    return call(
        spec, "export_backup", paths, on_event, backup=backup, to=fspath(to), format=format
    )


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
    return call(
        spec, "prune", as_it_is, on_event, keep_last=keep_last, keep_days=keep_days, yes=yes
    )


@blocking
def restore(
    spec: AnySpec,
    into: str,
    *,
    backup: str | None = None,
    tables: Sequence[str] = (),
    precheck: bool = True,
    on_event: OnEvent | None = None,
) -> Call[Restored]:
    """Restores a backup into a new database beside the target, and compares every row.

    Args:
        spec: The spec.
        into: The name of the new database.
        backup: The backup's id; without it the newest.
        tables: Patterns of `schema.table`: restore the rows of these tables alone.
        precheck: Read the backup first, so that a damaged one is refused before anything is made.
        on_event: Called with every event.

    Raises:
        Refused: The name is taken, or the backup is of another database or not whole.
        Mismatch: The rows are not those of the backup.
    """
    return call(
        spec,
        "restore",
        _restored,
        on_event,
        backup=backup,
        into=into,
        tables=list(tables),
        precheck=precheck,
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
    return call(
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
    spec: AnySpec,
    *,
    backup: str | None = None,
    rows: bool = False,
    on_event: OnEvent | None = None,
) -> Call[Verdict]:
    """Verifies the target as it is, or against a backup. A difference is in the verdict, which is
    false then.

    Args:
        spec: The spec.
        backup: The id of the backup to compare every row with.
        rows: Name the keys of the rows that differ from the backup, which must be a full one. Tables that
            differ are loaded into temporary tables on the target's server.
        on_event: Called with every event.
    """
    return call(spec, "verify", Verdict.of, on_event, backup=backup, rows=rows)


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
    return call(spec, "compare", Comparison.of, on_event, other=other, rows=rows)


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

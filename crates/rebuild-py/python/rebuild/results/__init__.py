"""What the verbs return: frozen, typed, with `to_dict`, and shown as tables in notebooks."""

from .backups import Backup, Backups, CheckedBackup, Restored, RestoredDump
from .names import Identity, TableName
from .comparison import Comparison, DifferingKey, TableDifference
from .plan import Drift, Plan, PlannedStep, Refusal, Source, Status, Table, TableDrift
from .rehearsal import Rehearsal
from .runs import Ending, Printed, Report, Run, Runs, Step
from .verdict import Check, Verdict

__all__ = [
    "Backup",
    "Backups",
    "Check",
    "CheckedBackup",
    "Comparison",
    "DifferingKey",
    "Drift",
    "Ending",
    "Identity",
    "Plan",
    "PlannedStep",
    "Printed",
    "Refusal",
    "Rehearsal",
    "Report",
    "Restored",
    "RestoredDump",
    "Run",
    "Runs",
    "Source",
    "Status",
    "Step",
    "Table",
    "TableDifference",
    "TableDrift",
    "TableName",
    "Verdict",
]

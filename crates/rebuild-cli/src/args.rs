//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rebuild_core::model::{BackupId, RunId};
use rebuild_core::plan::RehearsalName;
use rebuild_core::project::{Sharing, Workers};
use rebuild_core::spec::Within;
use rebuild_core::work::WorkId;

/// Rebuild a PostgreSQL database, with a proven copy of the data at every instant.
#[derive(Debug, Parser)]
#[command(name = "rebuild", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The spec.
    #[arg(
        short,
        long,
        global = true,
        default_value = crate::keep::USUAL_SPEC,
        value_name = "PATH"
    )]
    pub(crate) file: PathBuf,
    /// How to print: for people, or JSON on stdout (events as JSON lines on stderr).
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done and verified
  1  failed, and rolled back: everything is as it was
  2  wrong arguments or spec; nothing was touched
  3  refused by a guard; nothing was touched
  4  halted half-way; `rebuild resume RUN` or `rebuild rollback RUN`; what is no run goes on when it is
     given again
  5  stuck; the message names the command that continues
  6  a verification or a check found a difference
  7  failed; nothing that was there was changed";

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// As what a backup is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportAs {
    /// A CSV file with a header for each table.
    #[default]
    Csv,
    /// One file of SQL, schema and rows, for psql and an empty database; its head says how.
    Sql,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented spec for a live database.
    Init {
        /// The database: a URL or a conninfo string; without it the PG* variables.
        url: Option<String>,
        /// Where backups and journals go.
        #[arg(long, value_name = "URL")]
        store: Option<String>,
    },
    /// Show what is there: the database, its drift, its migration version, the last runs.
    Status {
        /// Do not make a scratch database to look for drift.
        #[arg(long)]
        no_drift: bool,
    },
    /// Show what a run would do and what would be lost, changing nothing.
    Plan {
        /// Keep the plan in this file, for `rebuild run --plan`.
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
        /// Do not make a scratch database to look for drift.
        #[arg(long)]
        no_drift: bool,
    },
    /// Rebuild the database.
    Run {
        /// Run this plan, and refuse if the state is no longer the one it was made from.
        #[arg(long, value_name = "PATH")]
        plan: Option<PathBuf>,
        /// The target's name, typed; needed for targets labelled as production.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Go on with a run that has not ended, if there is one, in the place of refusing: for
        /// schedulers that start the same command again.
        #[arg(long, conflicts_with = "plan")]
        or_resume: bool,
        /// Do the whole run on a copy of the database, NAME_OF_DATABASE_rehearsal_NAME beside it, with
        /// tofu and terraform in workspaces called NAME, and remove all of that again. The database
        /// itself is only read, and stays open. Workloads, after-steps, hooks, servers that would be
        /// replaced and what is done elsewhere are left out, and listed, but for jobs of Cloud Run that
        /// the spec lets it begin (cloud_run.rehearse). Killed, it cleans up and begins anew when it is
        /// given again.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["plan", "confirm", "or_resume"])]
        rehearse: Option<RehearsalName>,
    },
    /// Go on with a run that was killed or halted.
    Resume {
        /// The run; without it the newest.
        run: Option<RunId>,
    },
    /// Bring the old database back.
    Rollback {
        /// The run; without it the newest.
        run: Option<RunId>,
        /// The target's name, typed; needed for targets labelled as production.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Go back even if rows were written to the new database; they stay in it, kept aside.
        #[arg(long)]
        accept_writes: bool,
    },
    /// Destroy what a run retired, for good.
    Purge {
        /// The run; without it the newest.
        run: Option<RunId>,
        /// The name of the target, typed; after a rollback, that of the new database, which is what is destroyed then.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Do not wait for the retention to end.
        #[arg(long)]
        now: bool,
    },
    /// Take a backup and prove it.
    Backup {
        #[command(flatten)]
        sharing: SharingArgs,
    },
    /// List, show, check, export and prune backups.
    #[command(subcommand)]
    Backups(Backups),
    /// The managed instance that the database is in.
    #[command(subcommand)]
    Instance(Instance),
    /// Restore a backup, or a dump of pg_dump, into a new database beside the target.
    Restore {
        /// The backup; without it the newest.
        backup: Option<BackupId>,
        /// The name of the new database.
        #[arg(long, value_name = "NAME")]
        into: String,
        /// Restore the rows of these tables alone, into the whole schema: a pattern of
        /// schema.table; may be given several times. Foreign keys must hold among them.
        #[arg(long = "table", value_name = "PATTERN")]
        tables: Vec<String>,
        /// Restore this dump instead: an archive of pg_dump (custom, directory, tar), or a SQL
        /// file, as it is or under gzip or zstd. SQL may be an object in a bucket, s3://... or
        /// gs://..., for example an export of Cloud SQL. Its statements must be in UTF-8, as pg_dump
        /// --encoding=UTF8 writes them.
        #[arg(long, value_name = "PATH", conflicts_with_all = ["backup", "tables", "workers"])]
        from: Option<PathBuf>,
        /// Give a role of the dump another name; may be given several times.
        #[arg(long = "role", value_name = "OLD=NEW", requires = "from", value_parser = renamed)]
        roles: Vec<(String, String)>,
        /// Leave a role of the dump out; may be given several times. Those of managed services
        /// (cloudsqlsuperuser, rds_superuser, azure_superuser and the like) always are, unless they
        /// are given another name.
        #[arg(long, value_name = "ROLE", requires = "from")]
        drop_role: Vec<String>,
        /// Run the dump's SQL even as a superuser.
        #[arg(long, requires = "from")]
        trust: bool,
        /// Do not read the backup first. Without this a damaged one is refused before anything is made,
        /// and its rows are read twice; with it that is found while they are loaded, and what was
        /// made is removed. Workers never read it first.
        #[arg(long, conflicts_with_all = ["from", "workers"])]
        no_precheck: bool,
        #[command(flatten)]
        sharing: SharingArgs,
    },
    /// Copy a database into a new one, from server to server, and compare every row.
    ///
    /// All rows are as they were at one moment. The schema and the large objects go by way of a
    /// temporary folder. If anything fails, what was made is removed, but for a copy whose rows were
    /// compared and differ, which is left to be looked at. One that was killed is not resumed: drop
    /// the database it left, and copy again. No spec is read, but with --workers:
    /// its store is where they find their work.
    Copy {
        /// The database to copy: a URL or a conninfo string.
        source: String,
        /// The database to make; it must not exist yet.
        target: String,
        /// The database to connect to on the target's server until then.
        #[arg(long, value_name = "NAME", default_value = "postgres")]
        maintenance_database: String,
        /// Copy by way of a proven backup in this folder, which stays there.
        #[arg(long, value_name = "DIR", conflicts_with = "workers")]
        backup_folder: Option<PathBuf>,
        #[command(flatten)]
        sharing: SharingArgs,
    },
    /// Verify the target, or compare it with a backup or with another database.
    Verify {
        /// The backup to compare every row with.
        #[arg(long, value_name = "ID")]
        backup: Option<BackupId>,
        /// The database to compare with: a URL or a conninfo string.
        #[arg(long, value_name = "URL", conflicts_with = "backup")]
        with: Option<String>,
        /// Name the keys of the rows that differ. With --backup, the rows of tables that differ are loaded
        /// into temporary tables on the target's server.
        #[arg(long)]
        rows: bool,
        #[command(flatten)]
        sharing: SharingArgs,
    },
    /// Do the share of one worker: for the pods of a Job, and the tasks of other engines, that
    /// `--workers` is told of.
    Worker {
        /// The work; without it what REBUILD_WORK names.
        #[arg(long, value_name = "NAME")]
        work: Option<WorkId>,
        /// The number of this worker, from 0; without it what the engine says, for example in
        /// JOB_COMPLETION_INDEX or CLOUD_RUN_TASK_INDEX.
        #[arg(long, value_name = "N")]
        index: Option<u32>,
        /// How long to wait for the work, if it is not there yet.
        #[arg(long, value_name = "TIME", default_value = "0s")]
        wait: Within,
        #[command(flatten)]
        databases: DatabaseArgs,
    },
    /// List and show runs.
    #[command(subcommand)]
    Runs(Runs),
    /// Print the JSON Schema of the spec, for editors.
    Schema,
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Who does the work, if not this process.
#[derive(Debug, clap::Args)]
pub(crate) struct SharingArgs {
    /// Share the rows among N workers: `k8s:N`, the pods of an Indexed Job, or `tasks:N`, whoever
    /// runs `rebuild worker`.
    #[arg(long, value_name = "WHO:N")]
    workers: Option<Workers>,
    /// The name of the work, which is used once; without it a new one.
    #[arg(long, value_name = "NAME", requires = "workers")]
    work: Option<WorkId>,
    /// How long all workers may take; without it what the spec says, or 12h.
    #[arg(long, value_name = "TIME", requires = "workers")]
    workers_timeout: Option<Within>,
}

impl SharingArgs {
    /// How the work is shared, if it is.
    pub(crate) fn sharing(self) -> Option<Sharing> {
        Some(Sharing {
            workers: self.workers?,
            work: self.work,
            limit: self.workers_timeout.map(|limit| limit.0),
        })
    }
}

/// Databases that a work is about and the spec does not name.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// The database that `verify --with` names, as this worker reaches it; without it what
    /// REBUILD_VERIFY_WITH says. Its password is in REBUILD_VERIFY_WITH_PASSWORD, or where libpq looks
    /// for one.
    #[arg(long, value_name = "URL")]
    pub(crate) with: Option<String>,
    /// The source of a `copy`; without it what REBUILD_COPY_SOURCE says.
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// The target of a `copy`; without it what REBUILD_COPY_TARGET says.
    #[arg(long, value_name = "URL")]
    pub(crate) target: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backups {
    /// Every finished backup, newest first.
    List,
    /// One backup: its tables, rows and fingerprints.
    Show {
        /// The backup.
        backup: BackupId,
    },
    /// Read a backup back and prove it.
    Check {
        /// The backup; without it the newest.
        backup: Option<BackupId>,
        /// Restore it too, into a throwaway server on this machine, and compare every row there.
        #[arg(long, conflicts_with = "workers")]
        restore: bool,
        /// The folder with that server's programs; without it the installed ones whose version is
        /// nearest to the backup's.
        #[arg(long, value_name = "DIR", requires = "restore")]
        server_programs: Option<PathBuf>,
        #[command(flatten)]
        sharing: SharingArgs,
    },
    /// Write a backup as files that other programs read. All that is read of it is checked on the way.
    Export {
        /// The backup.
        backup: BackupId,
        /// As what.
        #[arg(long, value_enum, default_value_t)]
        format: ExportAs,
        /// The folder, which must be new or empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Remove old backups of this database, with the volume snapshots that belong to them; never
    /// the newest full one, which is read back first. With them go works of many workers whose
    /// coordinator was killed a day ago or more, and what those did not finish.
    Prune {
        /// Keep at least this many; without it what the spec says.
        #[arg(long, value_name = "N")]
        keep_last: Option<u32>,
        /// Keep those of the last days; without it what the spec says.
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u32>,
        /// Remove them; without it they are only listed.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Instance {
    /// Restore a backup of the whole instance over it: every database of it is overwritten. The
    /// instance as it was is kept as a backup run. Killed, it goes on when it is given again.
    #[command(group = clap::ArgGroup::new("copy").required(true))]
    Restore {
        /// The backup run that was taken with this backup; the rows are compared with it
        /// afterwards.
        #[arg(group = "copy")]
        backup: Option<BackupId>,
        /// A backup run by its number.
        #[arg(long, value_name = "NUMBER", group = "copy")]
        run: Option<i64>,
        /// The instance that the run is of, in the same project; without it, the spec's.
        #[arg(long, value_name = "INSTANCE", requires = "run")]
        of: Option<String>,
        /// A backup that has outlived its instance.
        #[arg(long, value_name = "projects/PROJECT/backups/ID", group = "copy")]
        kept: Option<String>,
        /// The name of the instance to overwrite, typed.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Make the instance that the spec names, where there is none: as target.cloudsql.create says, with the
    /// user of target.url and those of the spec. Killed, it goes on when it is given again.
    Create,
    /// Make the users of the spec that the instance does not have. A run does so too, but what a plan tries
    /// of the schema may need them before. One that is there is left as it is.
    Users,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// Every run, newest first.
    List,
    /// One run: its steps and how long each took.
    Show {
        /// The run; without it the newest.
        run: Option<RunId>,
    },
}

fn renamed(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("give OLD=NEW".to_owned()),
    }
}

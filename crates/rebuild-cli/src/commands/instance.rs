//! The managed instance that the database is in.

use rebuild_core::Result;
use rebuild_core::cloudsql::{InstanceCopy, InstanceRestored};
use rebuild_core::error::Error;
use rebuild_core::model::Verdict;
use rebuild_core::project::{InstanceSource, Project};
use serde::Serialize;

use super::backups::{checks, code};
use crate::args::Instance;
use crate::exit::Code;
use crate::output::Output;

#[derive(Serialize)]
struct Restored {
    /// The backup run that holds the instance as it was before.
    before: i64,
    /// Replicas that were made again.
    replicas: Vec<String>,
    /// How the rows compare with the backup, if one was named.
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct Created {
    /// Its connection name.
    instance: String,
    /// False if an earlier call has made it.
    made: bool,
}

#[derive(Serialize)]
struct Users {
    /// Those that were made.
    made: Vec<String>,
}

pub(super) async fn instance(
    project: &Project,
    command: Instance,
    output: &Output,
) -> Result<Code> {
    let (backup, run, of, kept, confirm) = match command {
        Instance::Restore {
            backup,
            run,
            of,
            kept,
            confirm,
        } => (backup, run, of, kept, confirm),
        Instance::Create => {
            let (name, made) = Box::pin(project.create_instance()).await?;
            let instance = name.to_string();
            output.data(&Created { instance, made }, created);
            return Ok(Code::Done);
        }
        Instance::Users => {
            let made = Box::pin(project.make_instance_users()).await?;
            output.data(&Users { made }, users);
            return Ok(Code::Done);
        }
    };
    let from = match (backup, run, kept) {
        (Some(backup), _, _) => InstanceSource::Backup(backup),
        (_, Some(id), _) => InstanceSource::Copy(InstanceCopy::Run { instance: of, id }),
        (_, _, Some(name)) => InstanceSource::Copy(InstanceCopy::Kept(name)),
        _ => return Err(Error::usage("name a backup, a run, or a kept backup")),
    };
    let restoring = project.restore_instance(&from, confirm.as_deref());
    let (InstanceRestored { before, replicas }, verdict) = Box::pin(restoring).await?;
    let code = verdict.as_ref().map_or(Code::Done, code);
    let restored = Restored {
        before,
        replicas,
        verdict,
    };
    output.data(&restored, text);
    Ok(code)
}

fn created(created: &Created) -> String {
    let Created { instance, made } = created;
    let how = if *made {
        "is made"
    } else {
        "was made before, and is there"
    };
    format!(
        "instance {instance} {how}, with the users of the spec\n\
         next: rebuild instance restore, with a backup of an instance; or rebuild restore BACKUP --into NAME\n"
    )
}

fn users(users: &Users) -> String {
    match &users.made[..] {
        [] => "every user of the spec is there\n".to_owned(),
        made => made
            .iter()
            .map(|name| format!("user {name} is made\n"))
            .collect(),
    }
}

fn text(restored: &Restored) -> String {
    let before = restored.before;
    let mut text = format!("restored; the instance as it was is its backup run {before}\n");
    for replica in &restored.replicas {
        text.push_str(&format!("replica {replica} was made again\n"));
    }
    text + &restored.verdict.as_ref().map(checks).unwrap_or_default()
}

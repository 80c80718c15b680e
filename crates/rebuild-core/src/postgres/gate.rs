//! The target itself as a workload: set read-only, and its sessions ended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::sessions::{self, EndSessions};
use super::teardown::place;
use super::{Session, TargetLock, ident, literal, server_error};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{Workload, WorkloadState};

/// The name of the workload that [`ReadOnlyGate`] is: what a plan stops and starts by it.
pub const READ_ONLY_GATE: &str = "writes";

/// How long sessions may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Sets the target read-only by default and ends its sessions, so that those who come back can
/// read and not write.
///
/// The setting is a default, and a client may override it
/// (<https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY>).
/// It keeps honest writers out; what writes all the same is found by its marks at the promote,
/// which then does not take place.
pub struct ReadOnlyGate {
    target: Identity,
    lock: Arc<TargetLock>,
    policy: EndSessions,
}

#[derive(Debug, Serialize, Deserialize)]
struct Before {
    oid: u32,
    /// The database's own value of the setting, if it had one.
    setting: Option<String>,
}

impl ReadOnlyGate {
    /// A gate on `target` that acts on `lock`'s connection.
    pub fn new(target: Identity, lock: Arc<TargetLock>, policy: EndSessions) -> Self {
        Self {
            target,
            lock,
            policy,
        }
    }

    /// True if the target's whole server was replaced. What was set went with it, and is set back
    /// when it comes back.
    async fn is_elsewhere(&self) -> Result<bool> {
        if self.lock.is_away().await {
            return Ok(true);
        }
        let session = self.lock.session().await?;
        Ok(place::system_identifier(&session).await? != self.target.server)
    }
}

#[async_trait]
impl Workload for ReadOnlyGate {
    fn name(&self) -> String {
        READ_ONLY_GATE.to_owned()
    }

    async fn look(&self, _ctx: &Ctx) -> Result<WorkloadState> {
        let lock = self.lock.session().await?;
        let oid = place::oid_here(&lock, &self.target).await?;
        let setting = setting(&lock, oid).await?;
        Ok(WorkloadState {
            running: setting.as_deref() != Some("on"),
            detail: serde_json::to_value(Before { oid, setting })
                .map_err(|e| Error::internal("a gate's state is not JSON").caused_by(e))?,
        })
    }

    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        let before = read(before)?;
        if self.is_elsewhere().await? {
            return Ok(());
        }
        let lock = self.lock.session().await?;
        let Some(now) = place::by_oid(&lock, before.oid).await? else {
            return Err(gone(&self.target));
        };
        let there = sessions::in_the_way(&lock, before.oid, &[], &self.policy).await?;
        self.policy.check(&now.name, &there)?;
        set(&lock, &now.name, Some("on")).await?;
        ctx.events.info(format!(
            "{:?} is read-only for new sessions; ending {} session(s)",
            now.name,
            there.len()
        ));
        // Those that started before the setting do not know of it; readers that come back after
        // it are left alone.
        let pids: Vec<i32> = there.iter().map(|s| s.pid).collect();
        sessions::end_these(&lock, &now.name, before.oid, &pids, END_WITHIN).await
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        let before = read(before)?;
        if self.is_elsewhere().await? {
            return Ok(());
        }
        let lock = self.lock.session().await?;
        // Found by oid: after a promote it is the retired database, which must be writable again
        // when it comes back. Once it is purged there is nothing to reset.
        let Some(now) = place::by_oid(&lock, before.oid).await? else {
            return Ok(());
        };
        if setting(&lock, before.oid).await? == before.setting {
            return Ok(());
        }
        set(&lock, &now.name, before.setting.as_deref()).await?;
        // Sessions that started meanwhile took the setting with them, and would refuse to write
        // until they end.
        let there = sessions::in_the_way(&lock, before.oid, &[], &self.policy).await?;
        let (ended, left): (Vec<_>, Vec<_>) = there.iter().partition(|s| self.policy.allows(s));
        if !left.is_empty() {
            ctx.events.warn(format!(
                "{} session(s) in {:?} may not be ended and stay read-only until they end",
                left.len(),
                now.name
            ));
        }
        let pids: Vec<i32> = ended.iter().map(|s| s.pid).collect();
        sessions::end_these(&lock, &now.name, before.oid, &pids, END_WITHIN).await
    }
}

fn read(state: &WorkloadState) -> Result<Before> {
    serde_json::from_value(state.detail.clone()).map_err(|e| {
        Error::corrupt("the recorded state of the read-only gate cannot be read").caused_by(e)
    })
}

fn gone(target: &Identity) -> Error {
    Error::refused(format!("{target} no longer exists"))
}

async fn setting(session: &Session, oid: u32) -> Result<Option<String>> {
    let row = session
        .query_opt(
            "select pg_catalog.split_part(setting, '=', 2)
               from pg_catalog.pg_db_role_setting s,
                    pg_catalog.unnest(s.setconfig) as setting
              where s.setdatabase operator(pg_catalog.=) $1
                and s.setrole operator(pg_catalog.=) 0::pg_catalog.oid
                and pg_catalog.split_part(setting, '=', 1) operator(pg_catalog.=)
                    'default_transaction_read_only'",
            &[&oid],
        )
        .await
        .map_err(|e| server_error("could not read the settings of the target", e))?;
    Ok(row.map(|r| r.get(0)))
}

async fn set(session: &Session, name: &str, value: Option<&str>) -> Result<()> {
    let database = ident(name)?;
    let sql = match value {
        Some(value) => format!(
            "alter database {database} set default_transaction_read_only to {}",
            literal(value)?
        ),
        None => format!("alter database {database} reset default_transaction_read_only"),
    };
    session
        .batch_execute(&format!("set local lock_timeout = '30s'; {sql}"))
        .await
        .map_err(|e| server_error(format!("could not change whether {name:?} is read-only"), e))
}

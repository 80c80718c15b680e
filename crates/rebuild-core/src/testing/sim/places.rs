//! Simulated databases made, moved and dropped.

use async_trait::async_trait;

use super::{Sim, SimDatabase, identity, oid};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{DestroyPermit, Provision, ProvisionRequest, RetireRequest, Retired, Teardown};

#[async_trait]
impl Provision for Sim {
    async fn look(&self, _: &Ctx, name: &str) -> Result<Option<Identity>> {
        Ok(self.identity(name))
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        let mut state = self.state();
        if let Some(oid) = state.find(&request.name) {
            let ours = state.databases[&oid].made_by.as_ref() == Some(&ctx.run);
            return if ours {
                Ok(identity(oid, &request.name))
            } else {
                Err(Error::refused(format!("{:?} exists", request.name)))
            };
        }
        state.next_oid += 1;
        let oid = state.next_oid;
        state.databases.insert(
            oid,
            SimDatabase {
                name: request.name.clone(),
                made_by: Some(ctx.run.clone()),
                ..SimDatabase::default()
            },
        );
        Ok(identity(oid, &request.name))
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        let mut state = self.state();
        let oid = oid(made)?;
        match state.databases.get(&oid) {
            None => Ok(()),
            Some(db) if db.made_by.as_ref() != Some(&ctx.run) => {
                Err(Error::refused(format!("{made} is not of {}", ctx.run)))
            }
            Some(_) => {
                if let Some(db) = state.databases.remove(&oid) {
                    state.dropped.push(db);
                }
                Ok(())
            }
        }
    }

    async fn settle<'a>(&self, _: &Ctx, made: &Identity, _: Option<&'a Identity>) -> Result<()> {
        self.state().database(made)?.made_by = None;
        Ok(())
    }
}

#[async_trait]
impl Teardown for Sim {
    async fn look(&self, _: &Ctx, name: &str) -> Result<Option<Identity>> {
        Ok(self.identity(name))
    }

    async fn retire(&self, _: &Ctx, request: &RetireRequest) -> Result<Retired> {
        let retired = Retired {
            old: request.target.clone(),
            retired_name: request.retired_name.clone(),
            successor: request.successor.clone(),
            successor_marks: request.successor_marks.clone(),
            shut_out_ms: 1,
        };
        let mut state = self.state();
        if state.moved(&request.target)?.name == request.retired_name {
            return Ok(retired);
        }
        let backup_rows = match &request.unchanged_since {
            Some(id) => Some(state.backup(id)?.database.rows.clone()),
            None => None,
        };
        let old = state.database(&request.target)?;
        if backup_rows.is_some_and(|rows| rows != old.rows) {
            return Err(Error::refused("rows were written after the snapshot"));
        }
        if state.find(&request.retired_name).is_some() {
            return Err(Error::refused("the name to retire it to is taken"));
        }
        if let Some(successor) = &request.successor {
            let new = state.database(successor)?;
            new.name.clone_from(&request.target.name);
            new.made_by = None;
        }
        let old = state.moved(&request.target)?;
        old.name.clone_from(&request.retired_name);
        Ok(retired)
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        let mut state = self.state();
        if state.moved(&retired.old)?.name == retired.old.name {
            return Ok(());
        }
        if let Some(holder) = state.find(&retired.old.name) {
            let successor = retired
                .successor
                .as_ref()
                .filter(|s| s.uid == holder.to_string())
                .ok_or_else(|| Error::refused("the name is taken"))?;
            let new = state.moved(successor)?;
            new.name.clone_from(&successor.name);
            new.made_by = Some(ctx.run.clone());
        }
        let old = state.moved(&retired.old)?;
        old.name.clone_from(&retired.old.name);
        Ok(())
    }

    async fn marks(&self, _: &Ctx, db: &Identity) -> Result<serde_json::Value> {
        let mut state = self.state();
        Ok(serde_json::json!(state.database(db)?.rows))
    }

    async fn written_since(&self, _: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        let mut state = self.state();
        let Some(successor) = &retired.successor else {
            return Ok(Vec::new());
        };
        let now = serde_json::json!(state.moved(successor)?.rows);
        Ok(if now == retired.successor_marks {
            Vec::new()
        } else {
            vec!["public.t".to_owned()]
        })
    }

    async fn purge(&self, _: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        let mut state = self.state();
        let oid = oid(&retired.old)?;
        match state.databases.get(&oid) {
            None => Ok(()),
            Some(db) if db.name != retired.retired_name => {
                Err(Error::refused(format!("{} is in service", retired.old)))
            }
            Some(_) => {
                permit.spend_on(&retired.old)?;
                if let Some(db) = state.databases.remove(&oid) {
                    state.dropped.push(db);
                }
                Ok(())
            }
        }
    }
}

//! Taking the mark of the run off a database that is in service from then on.

use super::{PgProvision, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::postgres::{ident, literal, made_by, server_error};

pub(super) async fn settle(
    provision: &PgProvision,
    ctx: &Ctx,
    made: &Identity,
    like: Option<&Identity>,
) -> Result<()> {
    let mut session = provision.lock.session().await?;
    let oid = place::oid_here(&session, made).await?;
    let gone = || Error::refused(format!("{made} no longer exists"));
    let now = place::by_oid(&session, oid).await?.ok_or_else(gone)?;
    let mark = made_by(&ctx.run);
    if now.comment.as_deref() != Some(mark.as_str()) {
        // Done by an earlier call; or it was in service all along.
        return Ok(());
    }
    let comment = match like {
        Some(like) => {
            let oid = place::oid_here(&session, like).await?;
            place::by_oid(&session, oid).await?.and_then(|p| p.comment)
        }
        None => None,
    };
    let text = match (comment, &provision.model) {
        (Some(comment), _) => literal(&comment)?,
        (None, Some(model)) => match &model.comment {
            Some(comment) => literal(comment)?,
            None => "null".to_owned(),
        },
        (None, None) => "null".to_owned(),
    };
    let what = || format!("could not put {made} in service");
    let tx = session
        .transaction()
        .await
        .map_err(|e| server_error(what(), e))?;
    let name = ident(&now.name)?;
    tx.batch_execute(&format!("comment on database {name} is {text}"))
        .await
        .map_err(|e| server_error(what(), e))?;
    let same: bool = tx
        .query_one(
            "select exists (select from pg_catalog.pg_database d
               where d.oid operator(pg_catalog.=) $1 and d.datname operator(pg_catalog.=) $2)",
            &[&oid, &now.name],
        )
        .await
        .map_err(|e| server_error(what(), e))?
        .get(0);
    if !same {
        return Err(Error::refused(format!(
            "{:?} is no longer database oid {oid}; nothing was changed",
            now.name
        )));
    }
    tx.commit().await.map_err(|e| server_error(what(), e))
}

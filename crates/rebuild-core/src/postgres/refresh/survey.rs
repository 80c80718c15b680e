//! What a plan has to know of the source of a refresh.

use super::migrations::MigrationDifference;
use super::preserve::{Preserved, look};
use super::source::Source;
use crate::error::Result;
use crate::event::Ctx;
use crate::plan::{Refusal, SourceSurvey};
use crate::postgres::inventory::extensions;
use crate::postgres::rows::tables::{list_tables, refuse_unreadable};
use crate::postgres::{
    CatalogSnapshot, DatabaseKey, Session, database_facts, migration_version, migrations,
    server_error, server_facts,
};
use crate::spec::MigrationPolicy;

/// Looks at the source of a refresh, and compares it with the target.
#[derive(Clone, Debug)]
pub struct SourceSurveyor {
    pub(crate) source: Source,
    pub(crate) policy: MigrationPolicy,
    /// What tells the version of a side, in the place of what migration tools record.
    pub(crate) version_query: Option<String>,
    /// True if the spec runs a migrator after the rows.
    pub(crate) migrates: bool,
    /// True if the new database gets the source's schema.
    pub(crate) gives_schema: bool,
    pub(crate) preserve: Vec<Preserved>,
}

/// The source, its schema, and what its migration tool records.
pub(in crate::postgres) type Surveyed = (SourceSurvey, CatalogSnapshot, Option<(String, String)>);

impl SourceSurveyor {
    /// The source beside the target, which `target` is in.
    ///
    /// *Destroys:* nothing. The source's sessions cannot write.
    ///
    /// # Errors
    /// Either server could not be asked. What does not let the refresh run is in the survey.
    pub(in crate::postgres) async fn survey(
        &self,
        ctx: &Ctx,
        target: &Session,
    ) -> Result<Surveyed> {
        let source = self.source.open(ctx).await?;
        let facts = database_facts(&source, DatabaseKey::Current).await?;
        let server = server_facts(&source).await?;
        let catalog = CatalogSnapshot::read(&source).await?;
        let mut survey = SourceSurvey {
            endpoint: self.source.endpoint.describe(),
            identity: facts.identity.clone(),
            server_major: server.major(),
            bytes: facts.bytes,
            masked: Vec::new(),
            chosen: Vec::new(),
            preserved: Vec::new(),
            notes: Vec::new(),
            refusals: Vec::new(),
        };
        if server.in_recovery {
            survey.notes.push(standby(&source).await?);
        }
        self.rows(&source, &mut survey).await?;
        self.sides(&source, target, &mut survey).await?;
        self.schema(&source, target, &catalog, &mut survey).await?;
        self.preserved(&source, target, &mut survey).await?;
        let migration = migration_version(&source).await?;
        source.close().await;
        Ok((survey, catalog.without_privileges(), migration))
    }

    /// Which rows are copied, and what of them is masked.
    async fn rows(&self, source: &Session, survey: &mut SourceSurvey) -> Result<()> {
        let tables = list_tables(source).await?;
        if let Err(e) = refuse_unreadable(&tables) {
            let hint = e.advice().unwrap_or_default().to_owned();
            survey.refusals.push(refusal("source", e.to_string(), hint));
        }
        let carried = self.source.carried(source, tables).await?;
        let refuse = |message| refusal("source", message, "see [source] and [mask] of the spec");
        survey
            .refusals
            .extend(carried.problems.into_iter().map(refuse));
        let large_objects = count(
            source,
            "select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata",
        )
        .await?;
        let said = self.source.rules.large_objects;
        if large_objects > 0 && said.is_none() && !carried.masked.is_empty() {
            survey.refusals.push(refusal(
                "mask",
                format!("the source has {large_objects} large objects, which nothing masks"),
                "set source.large_objects = false, or true if nothing in them is to be hidden",
            ));
        }
        if large_objects > 0 && said == Some(false) {
            let note = format!("{large_objects} large objects of the source are not copied");
            survey.notes.push(note);
        }
        (survey.masked, survey.chosen) = (carried.masked, carried.chosen);
        Ok(())
    }

    /// Whether the two sides may go together at all.
    async fn sides(
        &self,
        source: &Session,
        target: &Session,
        survey: &mut SourceSurvey,
    ) -> Result<()> {
        let here = database_facts(target, DatabaseKey::Current).await?;
        if here.identity.is_same_thing(&survey.identity) {
            survey.refusals.push(refusal(
                "source",
                format!("{} is source and target at once", survey.identity),
                "correct source.url or target.url",
            ));
        }
        let major = server_facts(target).await?.major();
        if survey.server_major > major {
            survey.notes.push(format!(
                "the source's server is version {}, newer than the target's {major}: what only \
                 the newer one knows fails, and the target stays as it is",
                survey.server_major
            ));
        }
        let difference = match &self.version_query {
            Some(sql) => MigrationDifference::of_versions(
                &version(source, sql).await?,
                &version(target, sql).await?,
            ),
            None => MigrationDifference::of(&migrations(source).await?, &migrations(target).await?),
        };
        if self.gives_schema {
            let refused = difference.refusal(self.policy, self.migrates);
            survey.refusals.extend(refused);
        }
        if difference != MigrationDifference::default() {
            survey.notes.push(format!("migrations {difference}"));
        }
        Ok(())
    }

    /// What outlives the refresh, and whether it can. Where the new schema is not the source's,
    /// only the step itself can tell.
    async fn preserved(
        &self,
        source: &Session,
        target: &Session,
        survey: &mut SourceSurvey,
    ) -> Result<()> {
        let rules = self.preserve.iter();
        survey.preserved = rules
            .map(|rule| match &rule.condition {
                Some(condition) => format!("{} where {condition}", rule.table),
                None => format!("{}, every row", rule.table),
            })
            .collect();
        if !self.gives_schema || self.migrates {
            return Ok(());
        }
        let outline = look(target, source, &self.preserve).await?;
        survey.notes.extend(outline.notes);
        let refuse = |message| refusal("preserve", message, "see [[preserve]] of the spec");
        survey
            .refusals
            .extend(outline.problems.into_iter().map(refuse));
        Ok(())
    }

    /// What the source's schema needs that the target's server may not have.
    async fn schema(
        &self,
        source: &Session,
        target: &Session,
        catalog: &CatalogSnapshot,
        survey: &mut SourceSurvey,
    ) -> Result<()> {
        if !self.gives_schema {
            return Ok(());
        }
        let rows = target
            .query(
                "select name::pg_catalog.text from pg_catalog.pg_available_extensions",
                &[],
            )
            .await
            .map_err(|e| server_error("could not list the extensions of the target's server", e))?;
        let available: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        let wanted = extensions(source).await?;
        let missing: Vec<&str> = wanted
            .iter()
            .map(|(name, _, _)| name.as_str())
            .filter(|name| !available.contains(name))
            .collect();
        if !missing.is_empty() {
            survey.refusals.push(refusal(
                "source",
                format!(
                    "the target's server does not have the extensions {} of the source",
                    missing.join(", ")
                ),
                "install them there",
            ));
        }
        if wanted.iter().any(|(name, _, _)| name == "pg_cron") {
            survey.notes.push(
                "the source's cron jobs follow, and run in the new database; leave them behind \
                 with [[source.table]] table = \"cron.job\", rows = false"
                    .to_owned(),
            );
        }
        for (kind, what) in [
            (
                "server",
                "it follows, and leads from the new database to where it leads now",
            ),
            ("user mapping", "it is not copied"),
            ("publication", "it is not copied"),
            ("subscription", "it is not copied"),
        ] {
            let of_kind = catalog.objects.iter().filter(|(_, o)| o.kind == kind);
            survey
                .notes
                .extend(of_kind.map(|(name, _)| format!("{name} of the source: {what}")));
        }
        Ok(())
    }
}

fn refusal(guard: &str, message: String, hint: impl Into<String>) -> Refusal {
    Refusal {
        guard: guard.to_owned(),
        message,
        hint: hint.into(),
    }
}

/// What there is to know of a source that follows another server.
async fn standby(source: &Session) -> Result<String> {
    let sql =
        "select coalesce(pg_catalog.pg_last_xact_replay_timestamp()::pg_catalog.text, 'never')";
    let row = source.query_one(sql, &[]).await;
    let row = row.map_err(|e| server_error("could not ask how far the source is behind", e))?;
    Ok(format!(
        "the source is a standby, whose last transaction is of {}; what its primary removes may cut \
         the copy off (max_standby_streaming_delay)",
        row.get::<_, &str>(0)
    ))
}

async fn count(session: &Session, sql: &str) -> Result<i64> {
    let row = session.query_one(sql, &[]).await;
    row.map(|row| row.get(0))
        .map_err(|e| server_error("could not look at the source", e))
}

/// The one value that `sql` gives, as text.
async fn version(session: &Session, sql: &str) -> Result<String> {
    let what = "could not ask for the version with source.version_query";
    let answer = session
        .simple_query(sql)
        .await
        .map_err(|e| server_error(what, e))?;
    let value = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(ToOwned::to_owned)),
        _ => None,
    });
    Ok(value.flatten().unwrap_or_else(|| "none".to_owned()))
}

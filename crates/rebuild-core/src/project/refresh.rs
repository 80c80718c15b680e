//! The source of a refresh, from the spec.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::Project;
use super::compose::endpoint_at;
use crate::engine::Report;
use crate::error::Result;
use crate::journal::Ending;
use crate::model::Identity;
use crate::postgres::verify::table_name;
use crate::postgres::{
    CatchUp, PgPreserver, PgRefresh, Preserved, RefreshRules, Source, SourceSurveyor,
};
use crate::spec::{MigrationPolicy, PreserveSpec, SchemaSource, SourceSpec, Spec};
use crate::traits::{Preserver, SchemaApplier};

/// Makes sure that what the spec says of a refresh can be understood.
///
/// # Errors
/// Wrong input, with the key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    preserved(&spec.preserve)?;
    let source = spec.source.as_ref();
    let rules = source.map(|source| RefreshRules::read(source, &spec.mask));
    rules.transpose().map(|_| ())
}

fn preserved(specs: &[PreserveSpec]) -> Result<Vec<Preserved>> {
    let read = |spec: &PreserveSpec| {
        Ok(Preserved {
            table: table_name(&spec.table).map_err(|e| e.context("preserve.table"))?,
            condition: spec.condition.clone(),
            keep: spec.keep,
            key: spec.key.clone(),
        })
    };
    specs.iter().map(read).collect()
}

impl Project {
    fn source(&self, spec: &SourceSpec) -> Result<Source> {
        let password = spec.password.as_ref();
        let endpoint = endpoint_at(&self.environment, &spec.url, password, spec.insecure_tls)
            .map_err(|e| e.context("source.url"))?;
        let rules = RefreshRules::read(spec, &self.spec.mask)?;
        Ok(Source::new(endpoint, spec.role.as_deref(), rules))
    }

    fn gives_schema(&self) -> bool {
        self.spec.schema_from() == SchemaSource::Source
    }

    /// What brings schema and rows of `source`, as the plan pinned it, to a database beside
    /// `target`.
    pub(super) fn refresh(
        &self,
        target: &Identity,
        source: Option<&Identity>,
    ) -> Result<Option<PgRefresh>> {
        let (Some(spec), Some(from)) = (&self.spec.source, source) else {
            return Ok(None);
        };
        Ok(Some(PgRefresh {
            source: self.source(spec)?,
            from: from.clone(),
            restorer: self.restorer(self.gives_schema())?,
            target: target.clone(),
            held: Mutex::new(None),
        }))
    }

    /// A run that went back needs nothing of the source any more.
    pub(super) async fn forget_source(&self, report: &Report) {
        if report.ending != Ending::RolledBack {
            return;
        }
        if let Err(e) = PgRefresh::forget(&self.store, &report.run).await {
            let left = format!("the source's schema stays in the store: {}", e.chain());
            self.events.warn(left);
        }
    }

    pub(super) fn source_surveyor(&self) -> Result<Option<SourceSurveyor>> {
        let Some(spec) = &self.spec.source else {
            return Ok(None);
        };
        Ok(Some(SourceSurveyor {
            source: self.source(spec)?,
            policy: spec.migrations,
            version_query: spec.version_query.clone(),
            migrates: self.spec.migrate.is_some(),
            gives_schema: self.gives_schema(),
            preserve: preserved(&self.spec.preserve)?,
        }))
    }

    /// What runs after the rows, beside `target`.
    pub(super) fn migrator(&self, target: &Identity) -> Result<Option<Arc<dyn SchemaApplier>>> {
        let Some(spec) = &self.spec.migrate else {
            return Ok(None);
        };
        let migrator = self.command_migrator("migrate", spec)?;
        let source = self.spec.source.as_ref();
        Ok(Some(match source.map(|source| source.migrations) {
            None | Some(MigrationPolicy::Any) => migrator,
            Some(MigrationPolicy::Equal | MigrationPolicy::SourceOlder) => Arc::new(CatchUp {
                migrator,
                endpoint: self.endpoint.clone(),
                target: target.clone(),
            }),
        }))
    }

    /// What puts rows of the target back, if any outlive a refresh.
    pub(super) fn preserver(&self) -> Result<Option<Arc<dyn Preserver>>> {
        let rules = preserved(&self.spec.preserve)?;
        if rules.is_empty() {
            return Ok(None);
        }
        let restorer = self.restorer(self.gives_schema())?;
        Ok(Some(Arc::new(PgPreserver { restorer, rules })))
    }
}

#[cfg(test)]
mod tests;

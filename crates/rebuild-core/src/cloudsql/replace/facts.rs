//! What would go, what would come, and what stands in the way: for a plan.

use super::{InstanceMaker, InstanceReplacement};
use crate::cloudsql::replicas::describe_replicas;
use crate::cloudsql::runs::when;
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::model::ReplacedInstance;

impl InstanceReplacement {
    /// What is replaced, and by what.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The API could not be asked. What does not let the instance be replaced is in the answer.
    pub async fn facts(&self, ctx: &Ctx) -> Result<ReplacedInstance> {
        let instance = self.sql.describe(ctx).await?;
        let mut facts = ReplacedInstance {
            name: self.sql.name().to_string(),
            made_at: when(instance.create_time.as_ref()).unwrap_or_default(),
            made_by_run: matches!(self.maker, InstanceMaker::Run(_)),
            changes: match &self.maker {
                InstanceMaker::Run(changes) => changes.describe(),
                InstanceMaker::EarlierStep => Vec::new(),
            },
            protected: super::aside::is_protected(&instance),
            replicas: instance.replica_names.clone(),
            users: self.users.iter().map(|u| u.name.clone()).collect(),
            ..ReplacedInstance::default()
        };
        let replicas = describe_replicas(&self.sql, ctx, &instance)
            .await
            .map(|_| ());
        let asked = [
            self.refuse_replicas(&instance),
            self.refuse_protected(&instance),
            replicas,
        ];
        for asked in asked {
            match asked {
                Err(e) if e.kind() == ErrorKind::Refused => {
                    let advice = e.advice().map(|advice| format!(" ({advice})"));
                    let why = format!("{}{}", e.chain(), advice.unwrap_or_default());
                    facts.obstacles.push(why);
                }
                asked => asked?,
            }
        }
        Ok(facts)
    }
}

//! The workers of a work, in an Indexed Job.

use std::num::NonZeroU32;

use async_trait::async_trait;

use super::job::ClusterJob;
use crate::error::Result;
use crate::event::Ctx;
use crate::work::{Crew, WorkFolder, WorkId};

/// Workers that are the pods of a Job. Kubernetes starts them and puts others in the place of those
/// that are lost; their number, which they have from it, says which share is theirs.
pub struct ClusterCrew {
    /// How many there are.
    pub size: NonZeroU32,
    /// The name of the work.
    pub work: WorkId,
    /// The Job that they are the pods of.
    pub job: ClusterJob,
}

#[async_trait]
impl Crew for ClusterCrew {
    fn size(&self) -> NonZeroU32 {
        self.size
    }

    fn work(&self) -> &WorkId {
        &self.work
    }

    async fn run(&self, ctx: &Ctx, _folder: &WorkFolder) -> Result<()> {
        self.job.run(ctx).await
    }
}

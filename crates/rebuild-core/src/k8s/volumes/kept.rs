//! What is written down of a server before it goes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::RunId;
use crate::store::{Name, Store, read_note, write_note};

/// The form of [`Kept`].
const VERSION: u32 = 1;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that a run retired.
    Old,
    /// The one that stood in its place when it came back.
    New,
}

/// A server as it was: its objects, and its claims with their volumes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The system identifier of the server on the volumes; empty if it never answered.
    pub(super) server: String,
    /// The objects, in the order they go.
    pub(super) objects: Vec<DynamicObject>,
    /// The claims and their volumes.
    pub(super) volumes: Vec<KeptVolume>,
    /// The uids of the namespace's other claims, which were there before the run and stay.
    #[serde(default)]
    pub(super) bystanders: Vec<String>,
}

/// A claim, and the volume that it was bound to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptVolume {
    pub(super) claim: PersistentVolumeClaim,
    /// Nothing if the claim had none yet.
    pub(super) volume: Option<PersistentVolume>,
}

impl Kept {
    pub(super) fn new(server: &str, objects: Vec<DynamicObject>, volumes: Vec<KeptVolume>) -> Self {
        Self {
            server: server.to_owned(),
            objects,
            volumes,
            bystanders: Vec::new(),
        }
    }

    /// What `run` wrote down, or nothing.
    ///
    /// # Errors
    /// The store could not be read; what is there is damaged, or of another version.
    pub(super) async fn read(store: &Store, run: &RunId, side: Side) -> Result<Option<Self>> {
        read_note(store, &name(run, side)?, VERSION).await
    }

    /// Writes it down, and gives back what counts: if something is written down already, that.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn write(self, store: &Store, run: &RunId, side: Side) -> Result<Self> {
        write_note(store, &name(run, side)?, VERSION, self).await
    }

    /// True if `uid` is that of something in it.
    pub(super) fn holds(&self, uid: Option<&str>) -> bool {
        let objects = self.objects.iter().map(|o| o.metadata.uid.as_deref());
        let claims = self.volumes.iter().map(|v| v.claim.metadata.uid.as_deref());
        uid.is_some() && objects.chain(claims).any(|known| known == uid)
    }

    /// True for a claim that was there before the run, and is not this server's.
    pub(super) fn is_bystander(&self, claim: &PersistentVolumeClaim) -> bool {
        let uid = claim.metadata.uid.as_ref();
        uid.is_some_and(|uid| self.bystanders.contains(uid))
    }

    /// The names of its claims.
    pub(super) fn claim_names(&self) -> Vec<String> {
        self.volumes.iter().map(|v| v.claim.name_any()).collect()
    }

    /// Its volumes, for people.
    pub(super) fn volume_names(&self) -> Vec<String> {
        let volumes = self.volumes.iter().filter_map(|v| v.volume.as_ref());
        volumes.map(ResourceExt::name_any).collect()
    }
}

fn name(run: &RunId, side: Side) -> Result<Name> {
    let side = match side {
        Side::Old => "old",
        Side::New => "new",
    };
    Name::new(format!("runs/{run}/kubernetes/{side}.json"))
}

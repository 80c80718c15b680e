//! A whole server that is replaced, and not its database alone: of a cluster, or an instance. Pure.

use super::guards::refusal;
use super::{Plan, Refusal, Rules, Survey, replaced_instance, replaced_server};
use crate::model::{ReplacedInstance, ReplacedServer};

/// What is replaced.
#[derive(Clone, Copy)]
pub(crate) enum Replaced<'a> {
    /// A server of a cluster, with its volumes.
    Server(&'a ReplacedServer),
    /// An instance of Cloud SQL.
    Instance(&'a ReplacedInstance),
}

/// The server that is replaced, if one is.
pub(super) fn whole(survey: &Survey) -> Option<Replaced<'_>> {
    let server = survey.cluster.as_ref().and_then(|c| c.replaced.as_ref());
    let instance = survey.instance.as_ref().and_then(|i| i.replaced.as_ref());
    let server = server.map(Replaced::Server);
    server.or(instance.map(Replaced::Instance))
}

/// What does not let it be replaced.
pub(super) fn guard(_: &Rules<'_>, survey: &Survey) -> Vec<Refusal> {
    let (obstacles, key) = match whole(survey) {
        None => return Vec::new(),
        Some(Replaced::Server(server)) => (&server.obstacles, "kubernetes"),
        Some(Replaced::Instance(instance)) => (&instance.obstacles, "cloudsql"),
    };
    let hint = format!("mend it, or rebuild the database alone, without target.{key}.replace");
    let refused = |why: &String| refusal("replace", why.clone(), hint.clone());
    obstacles.iter().map(refused).collect()
}

/// What goes out of service with it.
pub(super) fn losses(survey: &Survey) -> Vec<String> {
    match whole(survey) {
        None => Vec::new(),
        Some(Replaced::Server(server)) => replaced_server::losses(server),
        Some(Replaced::Instance(instance)) => replaced_instance::losses(instance),
    }
}

/// What the operator should know.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    match whole(survey) {
        None => Vec::new(),
        Some(Replaced::Server(server)) => replaced_server::warnings(server),
        Some(Replaced::Instance(instance)) => replaced_instance::warnings(instance),
    }
}

impl Replaced<'_> {
    /// The step that moves it aside.
    pub(super) fn retire(self) -> String {
        match self {
            Self::Server(server) => replaced_server::retire(server),
            Self::Instance(instance) => replaced_instance::retire(instance),
        }
    }

    /// The step that makes the new one, with the database `name`.
    pub(super) fn provision(self, name: &str) -> String {
        match self {
            Self::Server(server) => replaced_server::provision(server, name),
            Self::Instance(instance) => replaced_instance::provision(instance, name),
        }
    }

    /// How old and new stand to each other.
    pub(super) fn strategy(self) -> &'static str {
        match self {
            Self::Server(_) => {
                "in place: the old server is moved aside first, with its volumes kept"
            }
            Self::Instance(_) => {
                "in place: the old instance is deleted first, and kept as a backup of the service"
            }
        }
    }

    /// Where the old one is, once the run is done.
    pub(crate) fn kept(self) -> String {
        match self {
            Self::Server(server) => format!(
                "the old server is kept on {}",
                replaced_server::kept(server)
            ),
            Self::Instance(instance) => format!(
                "the old instance {} is kept as a backup of the service",
                instance.name
            ),
        }
    }

    /// Where the new one is, if it was in service and the old one is back; `purge` destroys it.
    pub(crate) fn was_in_service(self, purge: &str) -> String {
        match self {
            Self::Server(_) => format!(
                "the new server was in service, and its volumes are kept; `{purge}` destroys them"
            ),
            Self::Instance(_) => format!(
                "the new instance was in service, and is kept as a backup of the service; `{purge}` \
                 destroys it"
            ),
        }
    }
}

impl Plan {
    /// The server that is replaced, if one is.
    pub(crate) fn replaced(&self) -> Option<Replaced<'_>> {
        whole(&self.survey)
    }
}

//! The kinds of rebuild that faults strike.

use std::fmt;

use rebuild_core::testing;

use super::{ASIDE, IN_PLACE, PRODUCTION, TEMPLATE, Target, World, spec};

/// A kind of rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scene {
    /// Old and new side by side, with the rows of the backup.
    Aside,
    /// The old one is retired first; with the rows of the backup.
    InPlace,
    /// Masked rows of another database, and some that are preserved.
    Refresh,
    /// A program brings the rows.
    Load,
    /// As aside, by a role that is no superuser.
    Owner,
}

/// The role that rebuilds what it owns, and is no superuser.
pub const ROLE: &str = "rebuilder";

/// What the databases of [`ROLE`] are made from.
const OWNED: &str = "owned";

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aside => "aside",
            Self::InPlace => "in-place",
            Self::Refresh => "refresh",
            Self::Load => "load",
            Self::Owner => "aside by a plain role",
        })
    }
}

/// Somebody whom the target of a refresh alone has, and whose id production gave to another.
const OF_ITS_OWN: &str = "
    delete from public.reservation; delete from public.person where id <> 7;
    update public.person set email = 'tester@example.net'";

impl Scene {
    /// The kinds that a superuser runs.
    pub const ALL: [Self; 4] = [Self::Aside, Self::InPlace, Self::Refresh, Self::Load];
}

impl World {
    /// Makes the database that refreshes take their rows from.
    pub async fn make_production(&self) {
        let made = format!("create database {PRODUCTION} template {TEMPLATE}");
        let admin = self.admin().await;
        admin.batch_execute(&made).await.expect("production");
        admin.close().await;
    }

    /// Makes the role that is no superuser, and the template of its databases.
    pub async fn make_owned(&self) {
        let admin = self.admin().await;
        let role = format!("create role {ROLE} login createdb in role pg_signal_backend");
        admin.batch_execute(&role).await.expect("the role");
        admin.close().await;
        self.make_template(OWNED, Some(ROLE)).await;
    }

    /// A database of its own for a rebuild of this kind.
    pub async fn target_of(&self, name: &str, scene: Scene) -> Target<'_> {
        let strategy = if scene == Scene::InPlace {
            IN_PLACE
        } else {
            ASIDE
        };
        if scene == Scene::Owner {
            let mut target = self.target_from(OWNED, name, strategy).await;
            let user = ("PGUSER".to_owned(), ROLE.to_owned());
            target.environment.push(user);
            return target;
        }
        let target = self.target(name, strategy).await;
        let tools = testing::client_bin_dir(&self.cluster);
        let text = match scene {
            Scene::Aside | Scene::InPlace | Scene::Owner => return target,
            Scene::Refresh => spec::refresh(&tools),
            Scene::Load => spec::load(&tools),
        };
        std::fs::write(target.spec_file(), text).expect("the spec");
        if scene == Scene::Refresh {
            target.sql(OF_ITS_OWN).await;
        }
        target
    }
}

impl Target<'_> {
    /// Lets a shell do the work of the program that brings the rows; `$load` is its SQL.
    pub fn replace_load(&mut self, script: &str, timeout: &str) {
        let text = std::fs::read_to_string(self.spec_file()).expect("the spec");
        let line = text
            .lines()
            .find(|line| line.starts_with("command = "))
            .expect("the program");
        let shell = format!("command = [\"sh\", \"-c\", {script:?}]");
        self.edit_spec(line, &shell);
        self.edit_spec("timeout = \"20s\"", &format!("timeout = {timeout:?}"));
        self.environment
            .push(("load".to_owned(), spec::LOAD.to_owned()));
    }
}

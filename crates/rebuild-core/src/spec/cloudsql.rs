//! `[target.cloudsql]`: the instance of Cloud SQL that the database is in.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    CreateInstanceSpec, InstanceUserSpec, Program, ReplaceInstanceSpec, RestoreFrom, SchemaSource,
    Spec, Within, create_instance, instance_user, replace_instance,
};
use crate::error::{Error, Result};

/// `[target.cloudsql]`: the instance that the database is in. `target.url` names the role and the
/// database; how they are reached is said here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSqlSpec {
    /// Its connection name, `PROJECT:REGION:INSTANCE`.
    pub instance: String,
    /// How it is reached.
    pub connect: ConnectSpec,
    /// With `connect = "socket"`: the folder that the instance's socket is below.
    #[serde(default = "cloudsql")]
    pub socket_directory: String,
    /// With `connect = "proxy"`: the program, and arguments of its own.
    #[serde(default = "proxy")]
    pub proxy: Program,
    /// Log in with a token of the account in the place of a password. The role is an IAM user or service
    /// account of the instance.
    #[serde(default)]
    pub iam_login: bool,
    /// What becomes of read replicas when a backup is restored over the instance.
    #[serde(default)]
    pub replicas: ReplicasSpec,
    /// How long each operation of such a restore may take.
    #[serde(default = "four_hours")]
    pub restore_timeout: Within,
    /// Take an on-demand backup of the whole instance with each backup, besides the rows.
    #[serde(default)]
    pub backup_run: Option<BackupRunSpec>,
    /// Export the database to a bucket with each backup, besides the rows.
    #[serde(default)]
    pub export: Option<ExportSpec>,
    /// Who drops a database that is purged.
    #[serde(default)]
    pub purge: PurgeBy,
    /// Users that the instance is to have, besides the one in `target.url`.
    #[serde(default)]
    pub users: Vec<InstanceUserSpec>,
    /// What `rebuild instance create` makes where there is no instance yet.
    #[serde(default)]
    pub create: Option<CreateInstanceSpec>,
    /// Replace the whole instance, and not the database alone. Needs `strategy = "in-place"`.
    #[serde(default)]
    pub replace: Option<ReplaceInstanceSpec>,
}

/// How an instance is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectSpec {
    /// Through a socket that is there: Cloud Run puts it below `/cloudsql`, as does a proxy that runs.
    Socket,
    /// Through Google's proxy, which is started and ended by the run.
    Proxy,
    /// To its public address, with TLS by the instance's own authority.
    Public,
    /// To its private address, with TLS by the instance's own authority.
    Private,
}

/// What becomes of read replicas, which are in the way of a restore over their primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicasSpec {
    /// With one, nothing is restored.
    #[default]
    Refuse,
    /// They are deleted, and made again afterwards, with other addresses.
    Recreate,
}

/// Who drops a database that is purged. It was set apart before by its oid, on the connection that holds the
/// lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PurgeBy {
    /// The run's role, as on any server.
    #[default]
    Sql,
    /// The API, so that the project's audit log has it. The database's owner must be `cloudsqlsuperuser`.
    Api,
}

/// `[target.cloudsql.backup_run]`: an on-demand backup of the instance. It goes with the instance when that
/// is deleted, unless the instance is set to keep its backups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRunSpec {
    /// How long it may take, with the wait for other operations on the instance.
    #[serde(default = "four_hours")]
    pub timeout: Within,
}

/// `[target.cloudsql.export]`: an export of the database to a bucket, as SQL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportSpec {
    /// Where it goes, `gs://BUCKET/PREFIX`; the object is named after the backup.
    pub to: String,
    /// Let a machine beside the instance make it, which costs extra and spares the instance.
    #[serde(default)]
    pub offload: bool,
    /// Give the instance's service account `roles/storage.objectAdmin` on the bucket as long as the export
    /// lasts, unless it has it.
    #[serde(default)]
    pub grant: bool,
    /// How long it may take, with the wait for other operations on the instance.
    #[serde(default = "four_hours")]
    pub timeout: Within,
}

/// Checks what concerns the instance.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    check_fallback(spec)?;
    let Some(cloudsql) = &spec.target.cloudsql else {
        return Ok(());
    };
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("target.cloudsql{key}: {why}")));
    if spec.gcp.is_none() {
        return wrong("", "there is no [gcp] that says which account asks for it");
    }
    if spec.target.kubernetes.is_some() {
        return wrong("", "the database is in a pod, by target.kubernetes");
    }
    instance_user::check(&cloudsql.users)?;
    if cloudsql.connect == ConnectSpec::Proxy && cloudsql.proxy.is_empty() {
        return wrong(".proxy", "names no program");
    }
    if !cloudsql.socket_directory.starts_with('/') {
        return wrong(".socket_directory", "is not an absolute path");
    }
    if cloudsql.purge == PurgeBy::Api && cloudsql.replace.is_some() {
        return wrong(
            ".purge",
            "where the whole instance is replaced, its backup is what is purged",
        );
    }
    create_instance::check(spec)?;
    replace_instance::check(spec)
}

/// An export holds the schema that was, and all of its rows.
fn check_fallback(spec: &Spec) -> Result<()> {
    if spec.restore.fallback.is_none() {
        return Ok(());
    }
    let wrong = |why: &str| Err(Error::usage(format!("restore.fallback: {why}")));
    let cloudsql = spec.target.cloudsql.as_ref();
    if cloudsql.is_none_or(|cloudsql| cloudsql.export.is_none()) {
        return wrong("there is no target.cloudsql.export that could be loaded");
    }
    let whole = spec.rows_from() == RestoreFrom::Backup && spec.restore.tables.is_empty();
    if !whole || spec.schema_from() != SchemaSource::Backup {
        return wrong("an export is the whole database, and so must be what is restored");
    }
    Ok(())
}

fn cloudsql() -> String {
    "/cloudsql".to_owned()
}

fn proxy() -> Program {
    vec!["cloud-sql-proxy".to_owned()]
}

fn four_hours() -> Within {
    Within::seconds(4 * 3600)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let gcp = "[gcp]\nproject = \"shop\"\n";
        let sql = "[target.cloudsql]\ninstance = \"shop:europe-west1:main\"\n";
        for (more, why) in [
            (
                format!("{sql}connect = \"proxy\"\n"),
                "target.cloudsql: there is no [gcp]",
            ),
            (format!("{gcp}{sql}"), "connect"),
            (
                format!("{gcp}{sql}connect = \"proxy\"\nproxy = []\n"),
                "target.cloudsql.proxy: names no program",
            ),
            (
                format!("{gcp}{sql}connect = \"socket\"\nsocket_directory = \"sql\"\n"),
                "target.cloudsql.socket_directory: is not an absolute path",
            ),
            (
                format!(
                    "{gcp}{sql}connect = \"socket\"\n[kubernetes]\ncontext = \"c\"\nnamespace = \"n\"\n\
                     [target.kubernetes]\nservice = \"db\"\n"
                ),
                "target.cloudsql: the database is in a pod",
            ),
            (
                format!("{gcp}{sql}connect = \"proxy\"\n[restore]\nfallback = \"export\"\n"),
                "restore.fallback: there is no target.cloudsql.export",
            ),
            (
                format!(
                    "{gcp}{sql}connect = \"proxy\"\nexport = {{ to = \"gs://a\" }}\n[restore]\n\
                     fallback = \"export\"\nsource = \"none\"\n"
                ),
                "restore.fallback: an export is the whole database",
            ),
            (
                format!(
                    "{gcp}{sql}connect = \"proxy\"\npurge = \"api\"\n\
                     [target.cloudsql.replace]\n"
                ),
                "target.cloudsql.purge: where the whole instance is replaced",
            ),
            (
                "[gcp]\nproject = \"a/b\"\n".to_owned(),
                "gcp.project: \"a/b\" is not a name",
            ),
        ] {
            let text = format!(
                "version = 1\nstore.url = \"store\"\n[target]\nurl = \"postgresql:///app\"\n{more}"
            );
            let folder = std::path::Path::new(".");
            let error =
                crate::spec::parse(&text, "rebuild.toml", folder, &|_| None).expect_err(&text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
            assert!(error.chain().contains(why), "{text}: {error:?}");
        }
    }
}

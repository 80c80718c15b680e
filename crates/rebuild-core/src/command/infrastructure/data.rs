//! The kinds of resources that hold data, which is lost when they are deleted or replaced.

use crate::model::infrastructure::{Action, Change};

/// The beginning of a type's name, and what it holds.
const KINDS: &[(&str, &str)] = &[
    // tofu and terraform
    ("aws_db_instance", A_SERVER),
    ("aws_rds_", A_SERVER),
    ("aws_s3_bucket", OBJECTS),
    ("aws_ebs_volume", A_VOLUME),
    ("aws_efs_file_system", A_VOLUME),
    ("google_sql_database_instance", A_SERVER),
    ("google_sql_database", A_DATABASE),
    ("google_alloydb_", A_SERVER),
    ("google_bigquery_dataset", TABLES),
    ("google_bigquery_table", TABLES),
    ("google_storage_bucket", OBJECTS),
    ("google_compute_disk", A_VOLUME),
    ("azurerm_postgresql", A_SERVER),
    ("azurerm_storage_", OBJECTS),
    ("azurerm_managed_disk", A_VOLUME),
    ("digitalocean_database", A_SERVER),
    ("postgresql_database", A_DATABASE),
    ("kubernetes_persistent_volume", A_VOLUME),
    ("kubernetes_stateful_set", A_SET),
    ("kubernetes_namespace", A_NAMESPACE),
    ("helm_release", A_RELEASE),
    // pulumi
    ("aws:rds/", A_SERVER),
    ("aws:s3/bucket", OBJECTS),
    ("gcp:sql/databaseInstance:", A_SERVER),
    ("gcp:sql/database:", A_DATABASE),
    ("gcp:storage/bucket:", OBJECTS),
    ("gcp:bigquery/", TABLES),
    ("azure:postgresql/", A_SERVER),
    ("azure-native:dbforpostgresql", A_SERVER),
    ("azure-native:storage", OBJECTS),
    ("kubernetes:core/v1:PersistentVolume", A_VOLUME),
    ("kubernetes:core/v1:Namespace:", A_NAMESPACE),
    ("kubernetes:apps/v1:StatefulSet", A_SET),
    ("kubernetes:helm.sh/", A_RELEASE),
    // helm, and the manifests of others
    ("PersistentVolume", A_VOLUME),
    ("StatefulSet", A_SET),
    ("Namespace", A_NAMESPACE),
];

/// Types whose names begin like one above and that hold nothing.
const HOLD_NOTHING: &[&str] = &[
    "aws_rds_cluster_parameter_group",
    "aws_rds_cluster_role_association",
    "aws_s3_bucket_",
    "google_storage_bucket_iam",
    "google_storage_bucket_access_control",
    "google_storage_bucket_acl",
    "google_bigquery_dataset_iam",
    "google_bigquery_dataset_access",
    "google_bigquery_table_iam",
    "google_compute_disk_iam",
    "google_compute_disk_resource_policy",
    "azurerm_postgresql_firewall_rule",
    "azurerm_postgresql_flexible_server_firewall_rule",
    "azurerm_postgresql_configuration",
    "azurerm_postgresql_flexible_server_configuration",
    "aws:rds/parameterGroup",
    "aws:rds/subnetGroup",
    "aws:rds/clusterParameterGroup",
    "digitalocean_database_firewall",
];

const A_SERVER: &str = "the databases of a server";
const A_DATABASE: &str = "a database";
const OBJECTS: &str = "stored objects";
const TABLES: &str = "the rows of tables";
const A_VOLUME: &str = "a volume";
const A_SET: &str = "the volumes its pods have claimed, which may go with it";
const A_NAMESPACE: &str = "everything in a namespace, volumes that are claimed there too";
const A_RELEASE: &str = "everything a release made, volumes that its chart claims too";

/// What a resource of the type `kind` holds, if it holds data.
pub(super) fn held_by(kind: &str) -> Option<&'static str> {
    if HOLD_NOTHING.iter().any(|start| kind.starts_with(start)) {
        return None;
    }
    let found = KINDS.iter().find(|(start, _)| kind.starts_with(start));
    found.map(|(_, holds)| *holds)
}

/// `action` on a resource of which nothing else is known.
pub(super) fn change(address: String, kind: String, action: Action) -> Change {
    Change {
        holds: held_by(&kind).map(ToOwned::to_owned),
        address,
        kind,
        action,
        deposed: None,
        moved_from: None,
        imported: false,
        why: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_hold_data_are_known() {
        for kind in [
            "aws_db_instance",
            "aws_rds_cluster",
            "google_sql_database",
            "google_sql_database_instance",
            "google_storage_bucket",
            "azurerm_postgresql_flexible_server",
            "kubernetes_persistent_volume_claim_v1",
            "kubernetes_stateful_set_v1",
            "helm_release",
            "gcp:sql/databaseInstance:DatabaseInstance",
            "kubernetes:core/v1:PersistentVolumeClaim",
            "PersistentVolumeClaim",
            "StatefulSet.apps",
        ] {
            assert!(held_by(kind).is_some(), "{kind}");
        }
        for kind in [
            "terraform_data",
            "google_sql_user",
            "google_storage_bucket_iam_member",
            "aws_s3_bucket_policy",
            "Deployment.apps",
            "kubernetes:apps/v1:Deployment",
        ] {
            assert_eq!(held_by(kind), None, "{kind}");
        }
    }
}

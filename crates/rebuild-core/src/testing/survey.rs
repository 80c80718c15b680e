//! What tests of plans are made of.

use crate::model::{DatabaseFacts, Identity, Inventory, RightsFacts, ServerFacts};
use crate::plan::{RowsFrom, Rules, SchemaFrom, Strategy, Survey, ToolFacts};
use crate::traits::{BackupMode, SchemaState};

/// Rules of a rebuild aside, from files, without programs to run. They let nothing be ended or
/// left behind.
pub fn rules() -> Rules<'static> {
    Rules {
        endpoint: "postgres@/tmp:5432/app",
        environment: None,
        strategy: Strategy::Aside,
        backup: BackupMode::Full,
        schema: SchemaFrom::Files,
        rows: RowsFrom::Backup,
        falls_back: false,
        migrates: false,
        preserves: false,
        fixtures: false,
        loads: &[],
        workloads: &[],
        tasks: &[],
        may_end: &|_| false,
        takes: &|_| true,
        may_drop: &|_, _| false,
        compares_content: false,
        unverified_tls: &[],
        spec_digest: "spec",
    }
}

/// A survey of `target` in which every guard is content.
pub fn survey(target: Identity) -> Survey {
    let tool = |name: &str| ToolFacts {
        name: name.to_owned(),
        path: format!("/usr/bin/{name}"),
        major: 15,
        version: "15.20".to_owned(),
    };
    Survey {
        inventory: Inventory {
            server: ServerFacts {
                system_identifier: target.server.clone(),
                version_num: 150_020,
                in_recovery: false,
                standbys: 0,
                data_directory: None,
                address: "10.0.0.1:5432".to_owned(),
            },
            database: DatabaseFacts {
                identity: target,
                owner: "postgres".to_owned(),
                encoding: "UTF8".to_owned(),
                collate: "C".to_owned(),
                ctype: "C".to_owned(),
                locale_provider: "libc".to_owned(),
                locale: None,
                icu_rules: None,
                collation_versions: (None, None),
                tablespace: "pg_default".to_owned(),
                connection_limit: -1,
                is_template: false,
                comment: None,
                acl: None,
                settings: Vec::new(),
                bytes: 1 << 20,
            },
            tables: Vec::new(),
            extensions: Vec::new(),
            large_objects: 0,
            sessions: Vec::new(),
            obstacles: Vec::new(),
            rights: RightsFacts {
                role: "postgres".to_owned(),
                superuser: true,
                createdb: true,
                bypass_rls: true,
                owns_database: true,
                signal_backend: true,
                unreadable: Vec::new(),
                foreign_owned: Vec::new(),
            },
        },
        schema_hash: "0".repeat(64),
        tools: vec![tool("pg_dump"), tool("pg_restore")],
        schema: SchemaState::default(),
        fixtures: Vec::new(),
        source: None,
        cluster: None,
        instance: None,
        gcp: None,
        infrastructure: Vec::new(),
        drift: None,
        new_schema_hash: None,
        new_migration: None,
        store_free_bytes: None,
        server_free_bytes: None,
        store_inside_target: false,
    }
}

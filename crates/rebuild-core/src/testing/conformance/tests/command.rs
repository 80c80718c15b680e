//! A workload of commands keeps the contract.

use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;

use crate::command::CommandWorkload;
use crate::testing::conformance::{self, WorkloadStage};
use crate::traits::Workload;

/// A service that runs while a file exists.
struct Stage {
    folder: TempDir,
    workload: CommandWorkload,
}

impl Stage {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("up"), "").expect("a file");
        let spec = serde_json::from_value(json!({
            "name": "service",
            "stop": ["rm", "-f", "up"],
            "start": ["touch", "up"],
            "status": ["sh", "-c", "test -e up || exit 3"],
        }))
        .expect("a workload's part of a spec");
        Self {
            workload: CommandWorkload::new(&spec, folder.path()),
            folder,
        }
    }
}

#[async_trait]
impl WorkloadStage for Stage {
    fn workload(&self) -> &dyn Workload {
        &self.workload
    }

    async fn writes(&self) -> bool {
        self.folder.path().join("up").exists()
    }
}

#[tokio::test]
async fn command_workload() {
    conformance::workload(async || Stage::new()).await;
}

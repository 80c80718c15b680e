//! A database in an instance of Cloud SQL.

mod asked;
mod backups;
mod create;
mod fallback;
mod goes_on;
mod grants;
mod iam;
mod proxy;
mod purge;
mod reach;
mod replace;
mod replace_besides;
mod replace_killed;
mod replicas;
mod restore;
mod trouble;
mod users;

use std::sync::Mutex;
use std::time::Duration;

use rebuild_testgoogle::{Failure, Fault, OperationFault, Strike};
use serde_json::Value;

use crate::event::{Event, Progress, Sink};
use crate::testing::google::{PROJECT, World};

/// What was told, a line each.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn has(&self, part: &str) -> bool {
        let told = self.0.lock().expect("no one panics with it");
        told.iter().any(|line| line.contains(part))
    }
}

impl Sink for Told {
    fn event(&self, event: &Event) {
        let value = serde_json::to_value(&event.kind).expect("JSON");
        let line = value["message"].as_str().unwrap_or_default().to_owned();
        self.0.lock().expect("no one panics with it").push(line);
    }

    fn progress(&self, _: &Progress) {}
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

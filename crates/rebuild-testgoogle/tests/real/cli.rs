//! Google's command lines, each run with a configuration of its own.

use std::process::{Output, Stdio};
use std::time::Duration;

use rebuild_testgoogle::Google;
use tokio::process::Command;

/// Long enough for a busy machine; what hangs is a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The project that they are set to, as the server is.
pub(crate) const PROJECT: &str = "test-project";

/// Runs `gcloud` or `bq`.
pub(crate) async fn run(google: &Google, program: &str, arguments: &[&str]) -> Output {
    // What one run writes down is nothing to another.
    let config = tempfile::tempdir().unwrap();
    let url = google.url();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", config.path())
        .env("CLOUDSDK_CONFIG", config.path())
        .env("CLOUDSDK_CORE_PROJECT", PROJECT)
        .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "true")
        .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
        .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
        .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true");
    for (api, path) in [("SQL", "/"), ("STORAGE", "/storage/v1/"), ("LOGGING", "/")] {
        let variable = format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}");
        command.env(variable, format!("{url}{path}"));
    }
    if arguments.first() == Some(&"run") {
        through_a_proxy(&mut command, url);
    }
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, running).await;
    output
        .unwrap_or_else(|_| panic!("{program} {arguments:?} hangs"))
        .unwrap()
}

/// `gcloud run` puts the region before whatever host it is told, and this machine has no such
/// names: the server stands for all of them, as a proxy.
fn through_a_proxy(command: &mut Command, url: &str) {
    let (_, port) = url.rsplit_once(':').unwrap();
    command
        .env(
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN",
            "http://run.googleapis.com/",
        )
        .env("CLOUDSDK_PROXY_TYPE", "http")
        .env("CLOUDSDK_PROXY_ADDRESS", "127.0.0.1")
        .env("CLOUDSDK_PROXY_PORT", port);
}

/// What gcloud prints when all goes well. The words of the line are its arguments.
pub(crate) async fn ok(google: &Google, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = run(google, "gcloud", &words).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gcloud {line}: {errors}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim_end().to_owned()
}

/// What it says when the server refuses.
pub(crate) async fn refused(google: &Google, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = run(google, "gcloud", &words).await;
    assert!(!output.status.success(), "gcloud {line}");
    String::from_utf8(output.stderr).unwrap()
}

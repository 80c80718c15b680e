//! Google's Python clients speak to the server, with the two usual kinds of credentials.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rebuild_testgoogle::Google;
use tokio::process::Command;

/// The Python of the tests, with its packages installed.
pub(crate) async fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-env");
    let output = Command::new(script)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/python-env: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()).join("python")
}

#[tokio::test]
async fn the_python_clients_back_up_restore_and_store() {
    let python = python().await;
    let google = Google::start().await.unwrap();
    google
        .instance("p", "europe-west1", "db")
        .create()
        .await
        .unwrap();
    google.create_bucket("files");
    let email = "robot@p.iam.gserviceaccount.com";
    let key = google.service_account_file(email).unwrap();
    // Of a user's credentials this client asks Google itself for tokens, whatever they say.
    let credentials = [
        vec![("GOOGLE_APPLICATION_CREDENTIALS", key.as_os_str())],
        // The second is where it looks whether there is a metadata server at all.
        vec![
            ("GCE_METADATA_HOST", google.authority().as_ref()),
            ("GCE_METADATA_IP", google.authority().as_ref()),
        ],
    ];
    // Nobody's own credentials are found there.
    let home = tempfile::tempdir().unwrap();
    for variables in credentials {
        let running = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/client.py"))
            .arg(google.url())
            .env_clear()
            .env("PATH", "")
            .env("HOME", home.path())
            .envs(variables)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(120), running).await;
        let output = output.expect("the script ends").unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "done\n",
            "{errors}"
        );
    }
    let restores = google.calls("sql.instances.restoreBackup");
    let principals: Vec<&str> = restores.iter().map(|it| it.principal.as_str()).collect();
    assert_eq!(principals, [email, google.principal().as_str()]);
}

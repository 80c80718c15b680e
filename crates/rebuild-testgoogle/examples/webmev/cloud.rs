//! The project in Google Cloud that `examples/webmev` of the repository is about, on this machine: a bucket,
//! and room for an instance, which the example's terraform makes.

use std::io;

use rebuild_testgoogle::{Google, GoogleOptions};

const PROJECT: &str = "webmev";

/// The project.
pub(crate) struct Cloud {
    pub(crate) google: Google,
}

impl Cloud {
    /// A project for the example.
    pub(crate) async fn start() -> io::Result<Self> {
        let options = GoogleOptions {
            project: PROJECT.to_owned(),
            ..GoogleOptions::default()
        };
        let google = Google::start_with(options).await?;
        google.create_bucket("webmev-exports");
        Ok(Self { google })
    }

    /// What the shell needs that runs the example.
    pub(crate) fn exports(&self) -> io::Result<String> {
        Ok(format!(
            "export WEBMEV_PROJECT={PROJECT} WEBMEV_GOOGLE={url} WEBMEV_TOKEN={token}\n\
             export WEBMEV_SOCKETS={sockets} PGPASSWORD=tr0ub4dor WEBMEV_PASSWORD=w3bm3v\n\
             export GOOGLE_APPLICATION_CREDENTIALS={credentials}",
            url = self.google.url(),
            token = self.google.token(),
            sockets = self.google.socket_folder().display(),
            credentials = self.google.credentials_file()?.display(),
        ))
    }
}

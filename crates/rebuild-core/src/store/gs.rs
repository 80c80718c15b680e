//! Buckets of Google Cloud Storage.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};

use super::client;
use super::remote::{ATTEMPTS, Remote};
use crate::environment::Environment;
use crate::error::{Error, Result};

const ALLOW_HTTP: &str = "GOOGLE_ALLOW_HTTP";

const CREDENTIALS: &str = "gcloud auth application-default login, or name the key file of a service \
     account in GOOGLE_APPLICATION_CREDENTIALS";

/// The store in `bucket`, with the credentials and the endpoint of the environment.
///
/// # Errors
/// Credentials are missing or unreadable; the endpoint is none, or not encrypted.
pub(super) fn open(
    bucket: &str,
    environment: &Environment,
) -> Result<(Arc<dyn ObjectStore>, Remote)> {
    let (endpoint, emulated) = endpoint(environment)?;
    let plain = endpoint.as_deref().is_some_and(|e| e.starts_with("http:"));
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_client_options(client::options(plain))
        .with_retry(client::retry(ATTEMPTS));
    if let Some(endpoint) = &endpoint {
        builder = builder.with_base_url(endpoint);
    }
    // An emulator is sent no credentials.
    builder = if emulated {
        builder.with_bearer_token("emulator")
    } else {
        with_credentials(builder, bucket, environment)?
    };
    let unusable = |e: object_store::Error| {
        // The cause may quote a key file.
        let why = Error::usage(e.to_string().chars().take(200).collect::<String>());
        Error::usage(format!("the settings for gs://{bucket} cannot be used"))
            .caused_by(why)
            .hint(CREDENTIALS)
    };
    let store = builder.clone().build().map_err(unusable)?;
    let once = builder
        .with_credentials(Arc::clone(store.credentials()))
        .with_retry(client::retry(1))
        .build()
        .map_err(unusable)?;
    let remote = Remote {
        once: Arc::new(once),
        attempts: ATTEMPTS,
        bucket: bucket.to_owned(),
        place: endpoint.unwrap_or_else(|| format!("gs://{bucket}")),
        credentials_hint: CREDENTIALS,
        rights_hint: "they need the role roles/storage.objectUser on the bucket",
        endpoint_hint: "see STORAGE_EMULATOR_HOST, GOOGLE_BASE_URL, and the proxy variables",
        secrets: environment.secrets(&["GOOGLE_BEARER_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"]),
    };
    Ok((Arc::new(store), remote))
}

/// The endpoint, if another than the usual one is named, and whether it is an emulator's.
fn endpoint(environment: &Environment) -> Result<(Option<String>, bool)> {
    let allow_http = client::flag(environment, ALLOW_HTTP)?;
    if let Some(text) = environment.filled("STORAGE_EMULATOR_HOST") {
        // As Google's own clients read it.
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let near = url::Url::parse(&text).is_ok_and(|url| is_this_machine(&url));
        let found = client::endpoint(
            "STORAGE_EMULATOR_HOST",
            &text,
            allow_http || near,
            ALLOW_HTTP,
        )?;
        return Ok((Some(found), true));
    }
    let found = environment
        .filled("GOOGLE_BASE_URL")
        .map(|text| client::endpoint("GOOGLE_BASE_URL", text, allow_http, ALLOW_HTTP))
        .transpose()?;
    Ok((found, false))
}

fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Application default credentials
/// (<https://cloud.google.com/docs/authentication/application-default-credentials>), after what
/// is named outright.
fn with_credentials(
    builder: GoogleCloudStorageBuilder,
    bucket: &str,
    environment: &Environment,
) -> Result<GoogleCloudStorageBuilder> {
    for (variable, key) in [
        ("GOOGLE_BEARER_TOKEN", Key::BearerToken),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", Key::ServiceAccountKey),
        ("GOOGLE_SERVICE_ACCOUNT", Key::ServiceAccount),
    ] {
        if let Some(value) = environment.filled(variable) {
            return Ok(builder.with_config(key, value));
        }
    }
    if let Some(file) = environment.filled("GOOGLE_APPLICATION_CREDENTIALS") {
        if !Path::new(file).is_file() {
            return Err(Error::usage(format!(
                "GOOGLE_APPLICATION_CREDENTIALS: there is no file {file}"
            )));
        }
        return Ok(builder.with_application_credentials(file));
    }
    let folder = environment
        .filled("CLOUDSDK_CONFIG")
        .map(Path::new)
        .map(Path::to_owned)
        .or_else(|| Some(Path::new(environment.filled("HOME")?).join(".config/gcloud")));
    let file = folder.map(|folder| folder.join("application_default_credentials.json"));
    if let Some(file) = file.filter(|file| file.is_file()) {
        return Ok(builder.with_application_credentials(file.display().to_string()));
    }
    // Otherwise the metadata server of the machine that this runs on is asked.
    if client::flag(environment, "NO_GCE_CHECK")? {
        let what = format!("there are no credentials for gs://{bucket}");
        return Err(Error::usage(what).hint(CREDENTIALS));
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(variables: &[(&str, &str)]) -> Result<Remote> {
        let environment = Environment::of(variables.iter().copied());
        open("bucket", &environment).map(|(_, remote)| remote)
    }

    #[test]
    fn an_emulator_is_taken_at_home_and_plain_http_elsewhere_is_asked_for() {
        let place = |variables: &[(&str, &str)]| opened(variables).map(|remote| remote.place);
        for (host, means) in [
            ("http://127.0.0.1:4443/", "http://127.0.0.1:4443"),
            ("localhost:4443", "http://localhost:4443"),
            ("https://store.example.org", "https://store.example.org"),
        ] {
            let found = place(&[("STORAGE_EMULATOR_HOST", host)]).expect(host);
            assert_eq!(found, means);
        }
        for (variable, value) in [
            ("STORAGE_EMULATOR_HOST", "store.example.org:4443"),
            ("GOOGLE_BASE_URL", "http://127.0.0.1:4443"),
        ] {
            let token = ("GOOGLE_BEARER_TOKEN", "hunter2");
            let e = place(&[(variable, value), token]).expect_err(variable);
            assert!(e.to_string().contains("unencrypted"), "{e:?}");
            place(&[(variable, value), token, (ALLOW_HTTP, "true")]).expect(variable);
        }
    }

    #[test]
    fn credentials_are_found_or_missed_before_anything_is_asked() {
        let e = opened(&[("NO_GCE_CHECK", "true")]).err().expect("none");
        assert!(e.to_string().contains("no credentials"), "{e:?}");
        let gone = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")];
        let e = opened(&gone).err().expect("no file");
        assert!(e.to_string().contains("/nowhere/key.json"), "{e:?}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("application_default_credentials.json");
        std::fs::write(&file, "{\"type\": \"hunter2\"").expect("a file");
        let at = folder.path().display().to_string();
        let e = opened(&[("CLOUDSDK_CONFIG", &at)]).err().expect("no key");
        assert!(e.is_refusal(), "{e:?}");
        let user = r#"{"type": "authorized_user", "client_id": "a", "client_secret": "hunter2",
                       "refresh_token": "hunter2"}"#;
        std::fs::write(&file, user).expect("a file");
        opened(&[("CLOUDSDK_CONFIG", &at)]).expect("a user's credentials");
    }
}

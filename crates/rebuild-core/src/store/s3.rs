//! Buckets of Amazon S3 and of what speaks its API.

use std::path::Path;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, S3ConditionalPut};
use object_store::{Certificate, ObjectStore};

use super::client;
use super::remote::{ATTEMPTS, Remote};
use crate::environment::Environment;
use crate::error::{Error, Result};

const ALLOW_HTTP: &str = "AWS_ALLOW_HTTP";

const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), \
     for instance with: eval \"$(aws configure export-credentials --format env)\"";

/// The variables that are handed on as they are
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html>).
const VARIABLES: [(&str, Key); 13] = [
    ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
    ("AWS_SESSION_TOKEN", Key::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", Key::RoleArn),
    ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        Key::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        Key::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        Key::ContainerAuthorizationTokenFile,
    ),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Key::MetadataEndpoint),
    ("AWS_REGION", Key::Region),
    ("AWS_DEFAULT_REGION", Key::DefaultRegion),
    (
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        Key::VirtualHostedStyleRequest,
    ),
];

/// The store in `bucket`, with the credentials and the endpoint of the environment.
///
/// # Errors
/// Credentials are missing or half there; the endpoint is none, or not encrypted.
pub(super) fn open(
    bucket: &str,
    environment: &Environment,
) -> Result<(Arc<dyn ObjectStore>, Remote)> {
    check_credentials(bucket, environment)?;
    let allow_http = client::flag(environment, ALLOW_HTTP)?;
    let attempts = attempts(environment)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        // Journals and manifests are written if absent.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(options(environment, allow_http)?)
        .with_retry(client::retry(attempts));
    for (variable, key) in VARIABLES {
        if let Some(value) = environment.filled(variable) {
            builder = builder.with_config(key, value);
        }
    }
    let mut place = format!("s3://{bucket}");
    if let Some((variable, text)) = endpoint(environment) {
        let endpoint = client::endpoint(variable, text, allow_http, ALLOW_HTTP)?;
        builder = builder.with_endpoint(&endpoint);
        place = endpoint;
    }
    let unusable = |e: object_store::Error| {
        Error::usage(format!("the settings for s3://{bucket} cannot be used")).caused_by(e)
    };
    let store = builder.clone().build().map_err(unusable)?;
    let once = builder
        .with_credentials(Arc::clone(store.credentials()))
        .with_retry(client::retry(1))
        .build()
        .map_err(unusable)?;
    let remote = Remote {
        once: Arc::new(once),
        attempts,
        bucket: bucket.to_owned(),
        place,
        credentials_hint: CREDENTIALS,
        rights_hint: "they need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, \
                      s3:DeleteObject and s3:AbortMultipartUpload on what is in it",
        endpoint_hint: "see AWS_ENDPOINT_URL_S3, AWS_REGION, and the proxy variables",
        secrets: environment.secrets(&["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]),
    };
    Ok((Arc::new(store), remote))
}

fn endpoint(environment: &Environment) -> Option<(&'static str, &str)> {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
        .into_iter()
        .find_map(|name| Some((name, environment.filled(name)?)))
}

/// Before anything is asked: an instance's metadata server answers late, or never, where there is
/// none.
fn check_credentials(bucket: &str, environment: &Environment) -> Result<()> {
    let set = |name: &str| environment.filled(name).is_some();
    let half = |there: &str, missing: &str| {
        Err(Error::usage(format!(
            "{there} is set, but {missing} is not"
        )))
    };
    match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (true, true) => return Ok(()),
        (true, false) => return half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        (false, true) => return half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        (false, false) => {}
    }
    let elsewhere = (set("AWS_WEB_IDENTITY_TOKEN_FILE") && set("AWS_ROLE_ARN"))
        || set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        || set("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if elsewhere {
        return Ok(());
    }
    if set("AWS_PROFILE") {
        return Err(
            Error::usage("AWS_PROFILE is set, and profiles in files are not read")
                .hint(CREDENTIALS),
        );
    }
    if client::flag(environment, "AWS_EC2_METADATA_DISABLED")? {
        return Err(
            Error::usage(format!("there are no credentials for s3://{bucket}")).hint(CREDENTIALS),
        );
    }
    Ok(())
}

/// `AWS_MAX_ATTEMPTS`.
fn attempts(environment: &Environment) -> Result<u32> {
    let Some(text) = environment.filled("AWS_MAX_ATTEMPTS") else {
        return Ok(ATTEMPTS);
    };
    match text.parse() {
        Ok(n @ 1..=100) => Ok(n),
        _ => Err(Error::usage(format!(
            "AWS_MAX_ATTEMPTS is {text:?}, not a number from 1 to 100"
        ))),
    }
}

fn options(environment: &Environment, allow_http: bool) -> Result<object_store::ClientOptions> {
    let mut options = client::options(allow_http);
    if let Some(file) = environment.filled("AWS_CA_BUNDLE") {
        let bad = || Error::usage(format!("AWS_CA_BUNDLE: no certificates in {file}"));
        let pem = std::fs::read(Path::new(file)).map_err(|e| bad().caused_by(e))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(|e| bad().caused_by(e))? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(variables: &[(&str, &str)]) -> Result<Remote> {
        let environment = Environment::of(variables.iter().copied());
        open("bucket", &environment).map(|(_, remote)| remote)
    }

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];

    #[test]
    fn the_environment_names_the_endpoint_and_plain_http_is_asked_for() {
        let with = |more: &[(&'static str, &'static str)]| opened(&[&KEYS, more].concat());
        assert_eq!(with(&[]).expect("opens").place, "s3://bucket");
        let both = [
            ("AWS_ENDPOINT_URL", "https://b.example.org"),
            ("AWS_ENDPOINT_URL_S3", "https://a.example.org/"),
        ];
        assert_eq!(with(&both).expect("opens").place, "https://a.example.org");
        let plain = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        let e = with(&[plain]).err().expect("plain http");
        assert!(
            e.is_refusal() && e.to_string().contains("unencrypted"),
            "{e:?}"
        );
        with(&[plain, (ALLOW_HTTP, "true")]).expect("allowed");
        for bad in ["nonsense", "ftp://host", "https://u:hunter2@host"] {
            let e = with(&[("AWS_ENDPOINT_URL", bad)]).err().expect(bad);
            assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
        }
    }

    #[test]
    fn missing_credentials_are_told_before_anything_is_asked() {
        for (variables, why) in [
            (&KEYS[..1], "AWS_SECRET_ACCESS_KEY is not"),
            (&KEYS[1..], "AWS_ACCESS_KEY_ID is not"),
            (
                &[("AWS_EC2_METADATA_DISABLED", "true")][..],
                "no credentials",
            ),
            (&[("AWS_PROFILE", "work")][..], "profiles"),
            (
                &[("AWS_MAX_ATTEMPTS", "0"), KEYS[0], KEYS[1]][..],
                "AWS_MAX_ATTEMPTS",
            ),
            (
                &[("AWS_CA_BUNDLE", "/nowhere"), KEYS[0], KEYS[1]][..],
                "AWS_CA_BUNDLE",
            ),
            (
                &[(ALLOW_HTTP, "perhaps"), KEYS[0], KEYS[1]][..],
                "neither true nor",
            ),
        ] {
            let e = opened(variables).err().expect(why);
            assert!(e.is_refusal(), "{e:?}");
            assert!(e.to_string().contains(why), "{e:?}");
            assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
        }
    }
}

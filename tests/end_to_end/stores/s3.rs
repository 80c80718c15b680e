//! A server of S3: `s3s-fs`, in this process.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;

use super::door::{Behind, answer};
use super::{BUCKET, Door, Server, pairs};

/// The secret key. No output may show it.
pub(crate) const SECRET: &str = "open/sesame+8841";

/// The server; its objects are files of a folder.
pub(crate) struct S3 {
    door: Door,
    folder: TempDir,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(folder.path()).expect("a server");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single("AKIDEXAMPLE", SECRET));
        Self {
            door: Door::before(Service(service.build())).await,
            folder,
        }
    }

    /// The folder of the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }
}

impl Server for S3 {
    const SCHEME: &str = "s3";

    fn door(&self) -> &Door {
        &self.door
    }

    fn variables(&self) -> Vec<(String, String)> {
        pairs([
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT_URL_S3", &self.door.url()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            // Tests of what does not pass should not last.
            ("AWS_MAX_ATTEMPTS", "5"),
        ])
    }

    fn parts(&self) -> usize {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder");
        files
            .filter(|file| {
                let name = file.as_ref().expect("a file").file_name();
                name.to_string_lossy().contains(".part-")
            })
            .count()
    }
}

struct Service(S3Service);

#[async_trait]
impl Behind for Service {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answered = match self.0.call(request.map(s3s::Body::from)).await {
            Ok(answered) => answered,
            Err(e) => return answer(500, format!("{e:?}")),
        };
        let (parts, body) = answered.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(parts, body.to_bytes()),
            Err(e) => answer(500, e.to_string()),
        }
    }
}

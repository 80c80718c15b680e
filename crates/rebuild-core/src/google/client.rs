//! A project of Google Cloud, as one account sees it.

use std::path::PathBuf;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::client_builder::ClientBuilder;
use google_cloud_gax::error::Error as ApiError;

use super::failure::{api_error, is_passing, is_unauthenticated};
use super::{Account, Endpoints, GoogleApi};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;

/// How long one answer may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);
/// How long a request is made again, and how long it may take with its last try. Quotas of the APIs are
/// by the minute.
const AGAIN_WITHIN: Duration = Duration::from_secs(120);
const REQUEST_LIMIT: Duration = Duration::from_secs(180);

/// Where a project is, and who asks.
#[derive(Clone, Debug)]
pub struct GoogleAddress {
    /// The project's id.
    pub project: String,
    /// The credentials; without it, application default credentials.
    pub credentials: Option<PathBuf>,
    /// Addresses of the APIs other than the usual ones.
    pub endpoints: Endpoints,
}

/// A project of Google Cloud. Clones share their token.
#[derive(Clone, Debug)]
pub struct Google {
    project: String,
    account: Account,
    endpoints: Endpoints,
}

impl Google {
    /// Finds the credentials. Nothing is asked of any API yet.
    ///
    /// # Errors
    /// The credentials cannot be read.
    pub fn open(address: &GoogleAddress, environment: &Environment) -> Result<Self> {
        Ok(Self {
            project: address.project.clone(),
            account: Account::find(address.credentials.as_deref(), environment)?,
            endpoints: address.endpoints.clone(),
        })
    }

    /// The project's id.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Who asks.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The address of an API.
    pub fn endpoint(&self, api: GoogleApi) -> &str {
        self.endpoints.of(api)
    }

    /// A client of `api`, from the builder of its crate: with this account, at its address, without
    /// retries of its own.
    pub(crate) fn configure<F>(
        &self,
        api: GoogleApi,
        builder: ClientBuilder<F, Credentials>,
    ) -> ClientBuilder<F, Credentials> {
        builder
            .with_endpoint(self.endpoint(api))
            .with_credentials(self.account.clone())
            .with_attempt_timeout(ATTEMPT_LIMIT)
            .with_retry_policy(google_cloud_gax::retry_policy::NeverRetry)
    }

    /// Makes a request that may be made twice, and makes it again where the failure is one that passes:
    /// a quota by the minute, a server in trouble, a connection that broke, an answer that was cut. A
    /// token that is not accepted is replaced once.
    ///
    /// # Errors
    /// The API said no; it could not be reached within minutes; the operator stopped.
    pub(crate) async fn ask<T, F>(
        &self,
        ctx: &Ctx,
        api: GoogleApi,
        what: &str,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        self.asked(ctx, api, what, request)
            .await?
            .map_err(|e| self.refusal(api, what, &e))
    }

    /// The error of a request that `api` did not grant.
    pub(crate) fn refusal(&self, api: GoogleApi, what: &str, e: &ApiError) -> Error {
        api_error(what, api, &self.account.describe(), e)
    }

    /// As [`ask`](Self::ask), for a thing that may be missing.
    ///
    /// # Errors
    /// As there, but for 404.
    pub(crate) async fn ask_maybe<T, F>(
        &self,
        ctx: &Ctx,
        api: GoogleApi,
        what: &str,
        request: impl Fn() -> F,
    ) -> Result<Option<T>>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        match self.asked(ctx, api, what, request).await? {
            Ok(found) => Ok(Some(found)),
            Err(e) if super::failure::code(&e) == Some(404) => Ok(None),
            Err(e) => Err(self.refusal(api, what, &e)),
        }
    }

    /// As [`ask`](Self::ask), with the API's own error for whoever understands it.
    ///
    /// # Errors
    /// The operator stopped, or it took too long.
    pub(crate) async fn asked<T, F>(
        &self,
        ctx: &Ctx,
        api: GoogleApi,
        what: &str,
        request: impl Fn() -> F,
    ) -> Result<Result<T, ApiError>>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(20))
            .with_jitter()
            .with_total_delay(Some(AGAIN_WITHIN))
            .without_max_times();
        let renewing = || self.asked_now(&request);
        let asked = renewing.retry(backoff).when(is_passing).notify(|e, pause| {
            tracing::debug!(what, %api, error = %e, ?pause, "asking again");
        });
        // The clients' futures are large, and one is inside another.
        ctx.within(REQUEST_LIMIT, what, Box::pin(async { Ok(asked.await) }))
            .await
    }

    /// Makes a request, and makes it again only if the token was not accepted.
    pub(crate) async fn asked_now<T, F>(&self, request: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        match request().await {
            Err(e) if is_unauthenticated(&e) && self.account().renew().is_ok() => request().await,
            answered => answered,
        }
    }
}

/// The error of a client that cannot be made.
pub(crate) fn no_client(api: GoogleApi, e: &google_cloud_gax::client_builder::Error) -> Error {
    Error::new(ErrorKind::Usage, format!("there is no client for {api}"))
        .caused_by(Error::usage(super::failure::innermost(e)))
}

//! The server as a test holds it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use tokio::net::TcpListener;

use crate::access::{Access, Logins, answer};
use crate::call::{Call, Result};
use crate::fault::{Fault, FaultHandle, Faults};
use crate::operations::OperationFault;
use crate::record::Request;
use crate::server;
use crate::services::Services;
use crate::state::State;

/// How a server is.
#[derive(Debug, Clone)]
pub struct GoogleOptions {
    /// The project of its credentials.
    pub project: String,
    /// Calls without a token are let in, as somebody called `anonymous`: for `gcloud` with
    /// `CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true`. A token that is no good is refused all the same.
    pub anonymous: bool,
    /// How often an operation is shown as running to whoever polls it, however fast it is. With 0
    /// it may be done when it is first asked for, which is what clients are fastest with.
    pub shown_running: u32,
}

impl Default for GoogleOptions {
    fn default() -> Self {
        Self {
            project: "test-project".to_owned(),
            anonymous: false,
            shown_running: 1,
        }
    }
}

/// A server of Google Cloud's APIs on a port of 127.0.0.1.
///
/// Every call needs a token that it gave out. What is asked and what is answered is compared with
/// Google's discovery documents; where one of them differs, that is a violation, and a server that
/// is dropped with violations that nobody [took](Google::take_violations) panics.
pub struct Google {
    pub(crate) state: Arc<State>,
    pub(crate) services: Services,
}

impl Google {
    /// Starts a server on the current runtime.
    ///
    /// # Errors
    /// There is no free port, or the folder for its files cannot be made.
    ///
    /// # Panics
    /// `scripts/setup` has not fetched the discovery documents.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(GoogleOptions::default()).await
    }

    /// Starts a server that is as the options say.
    ///
    /// # Errors
    /// As [`Google::start`].
    ///
    /// # Panics
    /// As [`Google::start`].
    pub async fn start_with(options: GoogleOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let access = Access::new(&options.project, options.anonymous);
        let (logins, asked) = Logins::bind()?;
        let state = State::new(url, access, logins, options.shown_running)?;
        let state = Arc::new(state);
        tokio::spawn(answer(state.clone(), asked));
        let services = Services::new(&state);
        tokio::spawn(server::serve(state.clone(), listener));
        Ok(Self { state, services })
    }

    /// Where it is: `http://127.0.0.1:PORT`. All APIs are there, each at its own paths.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// The same without `http://`, as the variable `GCE_METADATA_HOST` has it.
    pub fn authority(&self) -> &str {
        self.state.url.trim_start_matches("http://")
    }

    /// Every request so far, in the order they came in.
    pub fn requests(&self) -> Vec<Request> {
        self.state.records().requests().to_vec()
    }

    /// The calls of a method so far.
    pub fn calls(&self, method: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.method == method);
        requests
    }

    /// What was not as the documents say so far, or was forbidden, in words.
    pub fn violations(&self) -> Vec<String> {
        self.state.records().violations().to_vec()
    }

    /// The same, and forgets them: for tests that expect some.
    pub fn take_violations(&self) -> Vec<String> {
        self.state.records().take_violations()
    }

    /// Asserts that there are no violations.
    ///
    /// # Panics
    /// There are.
    pub fn assert_clean(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    /// Makes every call of a method a violation; it is answered 403.
    pub fn forbid(&self, method: &str) {
        self.known(method);
        self.state.forbidden().insert(method.to_owned());
    }

    /// Answers every call of a method 403 `PERMISSION_DENIED`, until it is allowed again.
    pub fn deny(&self, method: &str) {
        self.known(method);
        self.state.denied().insert(method.to_owned());
    }

    /// Takes back what [`Google::deny`] did.
    pub fn allow(&self, method: &str) {
        self.state.denied().remove(method);
    }

    /// Lets a fault strike the calls to come.
    pub fn fault(&self, fault: Fault) -> FaultHandle {
        self.state.faults().add(fault)
    }

    /// Takes back every fault that has not struck as often as it was to.
    pub fn lift_faults(&self) {
        *self.state.faults() = Faults::default();
    }

    /// Lets a fault meet the next operation that a call of a method begins: one of Cloud SQL, or one that
    /// creates, patches or deletes a service of Cloud Run.
    pub fn fault_operation(&self, method: &str, fault: OperationFault) -> FaultHandle {
        self.known(method);
        self.state.operation_faults.add(method, fault)
    }

    /// Lets a closure answer a method, in the place of what answered it so far.
    ///
    /// # Panics
    /// No API has a method with this id.
    pub fn on<F>(&self, method: &str, handler: impl Fn(Call) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let registry = &self.state.registry;
        registry.add(method, move |call| handler(call).boxed());
    }

    /// Sets for how long tokens that are given out from here on are good.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state.access().lifetime = lifetime;
    }

    /// Makes every token expire that was given out so far.
    pub fn expire_tokens(&self) {
        self.state.access().expire_tokens();
    }

    /// A token of the account that the metadata server names.
    pub fn token(&self) -> String {
        let mut access = self.state.access();
        let principal = access.principal.clone();
        access.issue(&principal)
    }

    /// The email of that account: `tester@PROJECT.iam.gserviceaccount.com`.
    pub fn principal(&self) -> String {
        self.state.access().principal.clone()
    }

    /// Writes application default credentials of a user, for `GOOGLE_APPLICATION_CREDENTIALS`: of
    /// the type `authorized_user`, with this server as the one that gives tokens. They are
    /// removed with the server.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn credentials_file(&self) -> io::Result<PathBuf> {
        let mut access = self.state.access();
        let principal = access.principal.clone();
        access.write_user(self.state.home.path(), &principal, &self.state.url)
    }

    /// Writes the key of a service account in the same way: of the type `service_account`.
    ///
    /// # Errors
    /// The key cannot be made, or the file cannot be written.
    pub fn service_account_file(&self, email: &str) -> io::Result<PathBuf> {
        let mut access = self.state.access();
        access.write_key(self.state.home.path(), email, &self.state.url)
    }

    pub(crate) fn project(&self) -> String {
        self.state.access().project.clone()
    }

    fn known(&self, method: &str) {
        assert!(
            self.state.catalog.has(method),
            "no API has a method {method}"
        );
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        self.state.stop.send_replace(true);
        self.services.sql.stop();
        // Handlers hold what holds them.
        self.state.registry.clear();
        // Whoever still holds the rest must not keep the files. Nobody is left to tell if one of
        // them cannot be removed.
        let _ = std::fs::remove_dir_all(self.state.home.path());
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

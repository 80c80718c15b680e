//! Where an API's answer leads elsewhere, this account's token does not go along.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{Asked, Endpoints, Google, GoogleAddress, GoogleApi};
use crate::environment::Environment;
use crate::event::Ctx;

/// A server that answers every request with `answer`.
struct Server {
    url: String,
    /// How many there were with a token, and without.
    asked: Arc<[AtomicUsize; 2]>,
    _serving: AbortOnDropHandle<()>,
}

async fn serve(answer: String) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked: Arc<[AtomicUsize; 2]> = Arc::default();
    let count = asked.clone();
    let serving = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match client.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            let with_token = text.contains("\r\nauthorization: bearer ");
            count[usize::from(!with_token)].fetch_add(1, Ordering::SeqCst);
            // Whoever asked may have gone.
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    Server {
        url: format!("http://{address}"),
        asked,
        _serving: AbortOnDropHandle::new(serving),
    }
}

impl Server {
    fn asked(&self) -> [usize; 2] {
        [0, 1].map(|at: usize| self.asked[at].load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_token_does_not_follow_a_redirection() {
    let found = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let elsewhere = serve(found.to_owned()).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
    ] {
        let api = serve(format!(
            "HTTP/1.1 {status}\r\nlocation: {}/taken\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n",
            elsewhere.url
        ))
        .await;
        let tokens = rebuild_testgoogle::Google::start().await.expect("a server");
        let named = GoogleApi::ALL.map(|one| (one.name(), &*api.url));
        let address = GoogleAddress {
            project: "test-project".to_owned(),
            credentials: Some(tokens.credentials_file().expect("credentials")),
            endpoints: Endpoints::parse(named).expect("addresses"),
        };
        let google = Google::open(&address, &Environment::default()).expect("a project");
        let asked = Asked {
            api: GoogleApi::Storage,
            method: Method::GET,
            path: &["storage", "v1", "b", "x"],
            query: &[],
            body: None,
        };
        google.send(&asked).await.expect_err("a redirection");
        assert_eq!(api.asked(), [1, 0], "the token went where it should");
        // And a client of Google's own.
        let name = "shop:europe-west1:main".parse().expect("a name");
        let sql = crate::cloudsql::CloudSql::open(google, name).await;
        let sql = sql.expect("a client");
        // Whether it follows or not, it may not take the token along.
        let _ = sql.describe(&Ctx::quiet()).await;
        assert!(api.asked()[0] > 1, "{:?}", api.asked());
        assert_eq!(
            elsewhere.asked()[0],
            0,
            "{status}: the token was taken along"
        );
    }
}

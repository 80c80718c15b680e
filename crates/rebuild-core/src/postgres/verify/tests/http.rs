use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::http;
use super::*;

/// A server that gives the answers one after the other, the last one again and again.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if client.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                let at = count.fetch_add(1, Ordering::SeqCst);
                let answer = &answers[at.min(answers.len() - 1)];
                // A client that has seen enough hangs up.
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    async fn check(&self, status: u16, contains: Option<&str>, timeout_ms: u64) -> Check {
        let url = format!("http://user:secret@{}/health?token=secret", self.address);
        let timeout = std::time::Duration::from_millis(timeout_ms);
        let contains = contains.map(str::to_owned);
        let check = HttpCheck::new(&url, status, contains, timeout).expect("check");
        http::http(&Ctx::quiet(), &check).await.expect("looked")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn it_is_asked_until_it_answers() {
    let server = Server::answering(vec![
        answer("503 Service Unavailable", ""),
        answer("200 OK", "starting"),
        answer("200 OK", "{\"status\": \"ok\"}"),
    ])
    .await;
    let check = server.check(200, Some("\"ok\""), 20_000).await;
    passed(&check, "3 attempts");
    assert_eq!(check.name, format!("http http://{}/health", server.address));
}

#[tokio::test]
async fn a_wrong_answer_is_shown() {
    let server = Server::answering(vec![answer("500 Oops", "x")]).await;
    let check = server.check(200, None, 300).await;
    assert_eq!(complaints(&check), ["expected status 200, found 500"]);
    assert!(server.asked.load(Ordering::SeqCst) >= 2);

    let server = Server::answering(vec![answer("200 OK", "not\nyet")]).await;
    let check = server.check(200, Some("ready"), 1).await;
    assert_eq!(
        complaints(&check),
        ["expected the answer to hold \"ready\", found not\\nyet"]
    );
    let closed = server.address.clone();
    drop(server);
    let check = HttpCheck::new(
        &format!("http://{closed}/?token=secret"),
        200,
        None,
        std::time::Duration::from_millis(1),
    );
    let check = http::http(&Ctx::quiet(), &check.expect("check")).await;
    let check = check.expect("looked");
    assert!(complaints(&check)[0].starts_with("expected status 200, found no answer"));
    assert!(!format!("{check:?}").contains("secret"), "{check:?}");
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let server = Server::answering(vec![redirect("/elsewhere"), answer("200 OK", "here")]).await;
    passed(&server.check(200, Some("here"), 1).await, "1 attempt");
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);

    let other = Server::answering(vec![answer("200 OK", "here")]).await;
    let elsewhere = other.address.replace("127.0.0.1", "127.0.0.2");
    let server = Server::answering(vec![redirect(&format!("http://{elsewhere}/"))]).await;
    let check = server.check(200, None, 1).await;
    assert_eq!(complaints(&check), ["expected status 200, found 302"]);

    let server = Server::answering(vec![redirect("/again")]).await;
    let check = server.check(200, None, 1).await;
    assert_eq!(complaints(&check), ["expected status 200, found 302"]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn no_more_than_a_mebibyte_is_read() {
    let long = format!("{}end", "x".repeat(1 << 20));
    let server = Server::answering(vec![answer("200 OK", &long)]).await;
    let check = server.check(200, Some("end"), 1).await;
    assert!(complaints(&check)[0].starts_with("expected the answer to hold \"end\", found xxx"));
    passed(&server.check(200, Some("xxx"), 1).await, "1 attempt");
}

#[tokio::test]
async fn services_are_asked_only_when_live() {
    let bench = Bench::new().await;
    let server = Server::answering(vec![answer("204 No Content", "")]).await;
    let url = format!("http://{}/", server.address);
    let checks = json!([{"kind": "http", "url": url, "status": 204}, {"kind": "indexes"}]);
    let verdict = bench.verify(checks.clone()).await;
    passed(&one(verdict), "0 indexes");
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
    let verifier = bench.verifier(checks, Told::default()).expect("verifier");
    let request = bench.request(true).await;
    let verdict = verifier
        .verify(&Ctx::quiet(), &request)
        .await
        .expect("verdict");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    assert_eq!(verdict.checks.len(), 3);
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

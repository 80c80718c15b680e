//! Servers that are busy, say no, lose answers and die.

use std::time::{Duration, Instant};

use hyper::Method;
use rebuild_core::store::Store;
use rebuild_core::{Environment, ErrorKind};

use super::door::{completes, creates, part};
use super::s3::SECRET;
use super::{BUCKET, Fault, Gs, S3, Server, name};

/// More than two parts.
const LARGE: usize = 20 << 20;

async fn write_large(store: &Store, object: &str) -> rebuild_core::Result<u64> {
    let mut writer = store.writer(&name(object));
    for _ in 0..20 {
        writer.write(&vec![7; LARGE / 20]).await?;
    }
    writer.finish().await
}

async fn a_busy_server_is_asked_again(server: impl Server) {
    let store = server.store("busy").await;
    let door = server.door();
    let busy = Fault::Refuse(503, "SlowDown");
    door.plan(busy.clone(), 0, 3, creates);
    store
        .put_new(&name("a"), &b"one"[..])
        .await
        .expect("written");
    door.plan(busy.clone(), 1, 2, part);
    door.plan(busy.clone(), 0, 1, completes);
    let size = write_large(&store, "large").await.expect("written");
    assert_eq!(size, LARGE as u64);
    door.plan(busy, 0, 3, |request| request.method() == Method::GET);
    let got = store.get(&name("a")).await.expect("read");
    assert_eq!(&got[..], b"one");
    assert_eq!(door.left(), 0, "each fault struck");
    assert_eq!(store.size(&name("large")).await.expect("there"), Some(size));
}

#[tokio::test]
async fn a_busy_server_of_s3_is_asked_again() {
    a_busy_server_is_asked_again(S3::start().await).await;
}

#[tokio::test]
async fn a_busy_server_of_google_is_asked_again() {
    a_busy_server_is_asked_again(Gs::start().await).await;
}

/// The write came through, and nobody said so.
async fn a_lost_answer_is_found_out(server: impl Server) {
    let store = server.store("lost").await;
    let door = server.door();
    door.plan(Fault::LoseTheAnswer, 0, 1, creates);
    store
        .put_new(&name("a"), &b"mine"[..])
        .await
        .expect("written");
    assert_eq!(door.left(), 0);
    let e = store.put_new(&name("a"), &b"mine"[..]).await;
    assert!(e.expect_err("it is there").is_refusal());

    // Another's object is not taken for one's own, whatever the first attempt came to.
    door.plan(Fault::Refuse(500, "InternalError"), 0, 1, creates);
    let e = store.put_new(&name("a"), &b"yours"[..]).await;
    assert!(e.expect_err("it is another's").is_refusal());
    assert_eq!(&store.get(&name("a")).await.expect("read")[..], b"mine");

    door.plan(Fault::LoseTheAnswer, 0, 1, completes);
    let size = write_large(&store, "large").await.expect("written");
    assert_eq!(door.left(), 0);
    assert_eq!(store.size(&name("large")).await.expect("there"), Some(size));
}

#[tokio::test]
async fn a_lost_answer_of_s3_is_found_out() {
    a_lost_answer_is_found_out(S3::start().await).await;
}

#[tokio::test]
async fn a_lost_answer_of_google_is_found_out() {
    a_lost_answer_is_found_out(Gs::start().await).await;
}

/// Each refusal has its reason and its cure, is not tried again, and repeats no secret.
#[tokio::test]
async fn a_server_that_says_no_is_quoted_and_not_asked_again() {
    let server = S3::start().await;
    let store = server.store("no").await;
    for (status, code, why) in [
        (403, "AccessDenied", "may not do this in the bucket"),
        (403, "RequestTimeTooSkewed", "clock of this machine"),
        (403, "InvalidAccessKeyId", "are not accepted"),
        (400, "ExpiredToken", "have expired"),
        (404, "NoSuchBucket", "does not exist"),
        (301, "PermanentRedirect", "another region"),
    ] {
        let body = format!(
            "<Error><Code>{code}</Code><Message>no {SECRET} here\u{1b}[2J</Message>\
             <Token-0>{SECRET}</Token-0></Error>"
        );
        let said = Fault::Say(status, body);
        let before = server.door().seen().len();
        server.door().plan(said, 0, 1, creates);
        let e = store.put_new(&name("a"), &b"x"[..]).await.expect_err(code);
        assert_eq!(e.kind(), ErrorKind::Store);
        let told = format!("{e:?}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains(SECRET) && !told.contains('\u{1b}'), "{told}");
        assert!(e.advice().is_some(), "{told}");
        assert_eq!(server.door().seen().len(), before + 1, "asked once");
    }
    assert_eq!(server.door().left(), 0);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_wrong_key_are_named() {
    let server = S3::start().await;
    let found = Environment::of(server.variables());
    let nowhere = Store::open("s3://nowhere/x", &found).await.expect("a URL");
    let e = nowhere.list(&name("runs")).await.expect_err("no bucket");
    assert!(
        e.chain().contains("the bucket nowhere does not exist"),
        "{e:?}"
    );

    let wrong = server.variables().into_iter().map(|(variable, value)| {
        let wrong = variable == "AWS_SECRET_ACCESS_KEY";
        (variable, if wrong { "sesame".to_owned() } else { value })
    });
    let store = Store::open(&server.url("x"), &Environment::of(wrong))
        .await
        .expect("a URL");
    let e = store.list(&name("runs")).await.expect_err("a wrong key");
    assert!(e.chain().contains("are not accepted"), "{e:?}");

    let google = Gs::start().await;
    let found = Environment::of(google.variables());
    let nowhere = Store::open("gs://nowhere/x", &found).await.expect("a URL");
    let e = nowhere.list(&name("runs")).await.expect_err("no bucket");
    assert!(
        e.chain().contains("the bucket nowhere does not exist"),
        "{e:?}"
    );
}

#[tokio::test]
async fn a_server_that_dies_in_an_upload_is_given_up_in_time() {
    let server = S3::start().await;
    let store = server.store("death").await;
    server.door().plan(Fault::Die, 1, 1, part);
    let began = Instant::now();
    let e = write_large(&store, "large").await.expect_err("it is dead");
    assert_eq!(server.door().left(), 0, "it died of the second part");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(e.kind(), ErrorKind::Store);
    assert!(e.chain().contains("could not be asked"), "{e:?}");
    assert!(!server.bucket().join("death/large").exists());

    server.door().open_again().await;
    assert_eq!(store.size(&name("large")).await.expect("asked"), None);
    write_large(&store, "large").await.expect("written");
}

async fn an_abandoned_upload_is_aborted(server: impl Server) {
    let store = server.store("abandoned").await;
    let mut writer = store.writer(&name("large"));
    writer.write(&vec![7; LARGE]).await.expect("two parts");
    assert_eq!(server.parts(), 2);
    drop(writer);
    server.door().until(|| server.parts() == 0).await;
    // One whose part is refused goes the same way.
    server
        .door()
        .plan(Fault::Refuse(403, "AccessDenied"), 1, 1, part);
    write_large(&store, "large").await.expect_err("denied");
    server.door().until(|| server.parts() == 0).await;
    assert_eq!(server.door().left(), 0);
    assert_eq!(store.size(&name("large")).await.expect("asked"), None);
}

#[tokio::test]
async fn an_abandoned_upload_to_s3_is_aborted() {
    an_abandoned_upload_is_aborted(S3::start().await).await;
}

#[tokio::test]
async fn an_abandoned_upload_to_google_is_aborted() {
    an_abandoned_upload_is_aborted(Gs::start().await).await;
}

/// Some servers that speak the API of S3 take every write. The one of Google stands for them here:
/// what S3's client asks is signed as a whole, so a door cannot leave anything out.
#[tokio::test]
async fn a_server_that_ignores_conditions_is_found_out() {
    let server = Gs::start().await;
    let store = server.store("ignorant").await;
    server.door().plan(Fault::ForgetConditions, 0, 2, creates);
    let e = store.check_exclusive().await.expect_err("it writes over");
    assert!(e.is_refusal(), "{e:?}");
    assert!(e.to_string().contains(BUCKET), "{e:?}");
    assert!(e.advice().expect("advice").contains("If-None-Match"));
    let left = store.list(&name("probes")).await.expect("a list");
    assert!(left.is_empty(), "{left:?}");
}

//! What surrounds every call: tokens, checks, faults, and the list of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rebuild_testgoogle::{Answer, Fault, Google, GoogleOptions, Strike};
use serde_json::{Value, json};

use crate::client::{call, send, with_token};

const SERVICE: &str = "/v2/projects/p/locations/l/services/s";
const GET: &str = "run.projects.locations.services.get";

/// A server with one service that counts how often it was asked for.
async fn google() -> (Google, Arc<AtomicU32>) {
    let google = Google::start().await.unwrap();
    let times = Arc::new(AtomicU32::new(0));
    let counted = times.clone();
    google.on(GET, move |call| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Answer::Json(json!({"name": call.param("name")}))) }
    });
    (google, times)
}

#[tokio::test]
async fn a_call_is_answered_and_recorded() {
    let (google, _) = google().await;
    let (code, found) = call(
        &google,
        "GET",
        &format!("{SERVICE}?$alt=json;enum-encoding=int"),
        "",
    )
    .await;
    assert_eq!(
        (code, &found["name"]),
        (200, &json!("projects/p/locations/l/services/s"))
    );
    let requests = google.calls(GET);
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].api, requests[0].status), ("run.v2", Some(200)));
    assert_eq!(requests[0].principal, google.principal());
}

#[tokio::test]
async fn only_a_token_of_the_server_that_has_not_expired_is_good() {
    let (google, times) = google().await;
    for token in [None, Some("ya29.other")] {
        let (code, said) = with_token(&google, "GET", SERVICE, "", token).await;
        assert_eq!(
            (code, &said["error"]["status"]),
            (401, &json!("UNAUTHENTICATED"))
        );
    }
    let token = google.token();
    assert_eq!(
        with_token(&google, "GET", SERVICE, "", Some(&token))
            .await
            .0,
        200
    );
    google.expire_tokens();
    assert_eq!(
        with_token(&google, "GET", SERVICE, "", Some(&token))
            .await
            .0,
        401
    );
    google.set_token_lifetime(Duration::ZERO);
    assert_eq!(call(&google, "GET", SERVICE, "").await.0, 401);
    assert_eq!(times.load(Ordering::SeqCst), 1);

    let options = GoogleOptions {
        anonymous: true,
        ..GoogleOptions::default()
    };
    let open = Google::start_with(options).await.unwrap();
    open.on(GET, |_| async { Ok(json!({}).into()) });
    assert_eq!(with_token(&open, "GET", SERVICE, "", None).await.0, 200);
    assert_eq!(
        with_token(&open, "GET", SERVICE, "", Some("x")).await.0,
        401
    );
}

#[tokio::test]
async fn tokens_are_given_for_credentials_and_by_the_metadata_server() {
    let (google, _) = google().await;
    let file = std::fs::read(google.credentials_file().unwrap()).unwrap();
    let user: Value = serde_json::from_slice(&file).unwrap();
    let mut form = json!({
        "grant_type": "refresh_token", "client_id": user["client_id"],
        "client_secret": user["client_secret"], "refresh_token": user["refresh_token"],
    });
    let (code, given) = with_token(&google, "POST", "/token", &form.to_string(), None).await;
    assert_eq!((code, &given["expires_in"]), (200, &json!(3600)));
    let token = given["access_token"].as_str();
    assert_eq!(with_token(&google, "GET", SERVICE, "", token).await.0, 200);
    form["refresh_token"] = json!("1//other");
    let (code, said) = with_token(&google, "POST", "/token", &form.to_string(), None).await;
    assert_eq!((code, &said["error"]), (400, &json!("invalid_grant")));

    let account = "/computeMetadata/v1/instance/service-accounts/default";
    let (_, given) = with_token(&google, "GET", &format!("{account}/token"), "", None).await;
    let token = given["access_token"].as_str();
    assert_eq!(with_token(&google, "GET", SERVICE, "", token).await.0, 200);
    let (_, email) = with_token(&google, "GET", &format!("{account}/email"), "", None).await;
    assert_eq!(email, json!(google.principal()));
    assert_eq!(google.calls("metadata").len(), 2);
}

#[tokio::test]
async fn what_is_not_as_the_documents_say_is_a_violation() {
    let (google, times) = google().await;
    let (code, said) = call(&google, "GET", &format!("{SERVICE}?colour=red"), "").await;
    assert_eq!(
        (code, &said["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT"))
    );
    assert_eq!(call(&google, "GET", "/v2/nothing", "").await.0, 404);
    assert_eq!(
        call(
            &google,
            "POST",
            &format!("{SERVICE}:setIamPolicy"),
            "{\"policy\": 1}"
        )
        .await
        .0,
        400
    );
    assert_eq!(
        call(&google, "POST", &format!("{SERVICE}:setIamPolicy"), "{")
            .await
            .0,
        400
    );
    assert_eq!(
        call(
            &google,
            "POST",
            &format!("{SERVICE}:testIamPermissions"),
            "{}"
        )
        .await
        .0,
        501
    );
    assert_eq!(times.load(Ordering::SeqCst), 0);
    google.on(GET, |_| async { Ok(json!({"nmae": "s"}).into()) });
    assert_eq!(call(&google, "GET", SERVICE, "").await.0, 500);
    google.forbid(GET);
    assert_eq!(call(&google, "GET", SERVICE, "").await.0, 403);
    let violations = google.take_violations();
    assert_eq!(violations.len(), 7, "{violations:?}");
    for (violation, part) in violations.iter().zip([
        "colour: there is no such query parameter",
        "GET /v2/nothing: no API has such a method",
        "GoogleIamV1SetIamPolicyRequest.policy: no object: 1",
        "Invalid JSON payload",
        "this server does not have it",
        "GoogleCloudRunV2Service.nmae: there is no such field",
        "the test forbids this call",
    ]) {
        assert!(violation.contains(part), "{violation}");
    }
}

#[tokio::test]
#[should_panic(expected = "no API has such a method")]
async fn a_server_with_violations_does_not_go_quietly() {
    let (google, _) = google().await;
    call(&google, "GET", "/v2/nothing", "").await;
}

#[tokio::test]
async fn what_is_denied_is_denied_until_it_is_allowed() {
    let (google, times) = google().await;
    google.deny(GET);
    let (code, said) = call(&google, "GET", SERVICE, "").await;
    assert_eq!(
        (code, &said["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    google.allow(GET);
    assert_eq!(call(&google, "GET", SERVICE, "").await.0, 200);
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn faults_strike_where_they_are_aimed() {
    let (google, times) = google().await;
    let token = google.token();
    let get = || send(&google, "GET", SERVICE, "", Some(&token));
    for (strike, effect) in [
        (Strike::answer(503, "busy"), 0),
        (Strike::CloseBefore, 0),
        (Strike::CloseAfter, 1),
        (Strike::CutAnswer, 1),
        (Strike::Truncate, 1),
    ] {
        times.store(0, Ordering::SeqCst);
        let name = format!("{strike:?}");
        let truncated = matches!(strike, Strike::Truncate);
        let answered = matches!(strike, Strike::Answer(_));
        let fault = google.fault(Fault {
            skip: 1,
            ..Fault::once(GET, strike)
        });
        assert_eq!(get().await.unwrap().0, 200, "{name}");
        assert_eq!(fault.struck(), 0, "{name}");
        let struck = get().await;
        assert_eq!(fault.struck(), 1, "{name}");
        assert_eq!(struck.is_ok(), truncated || answered, "{name}: {struck:?}");
        if truncated {
            assert!(serde_json::from_str::<Value>(&struck.unwrap().1).is_err());
        }
        assert_eq!(get().await.unwrap().0, 200, "{name}");
        assert_eq!(times.load(Ordering::SeqCst), 2 + effect, "{name}");
    }
    google.fault(Fault::once("run.*", Strike::ExpireTokens));
    assert_eq!(get().await.unwrap().0, 401);
}

#[tokio::test]
async fn a_call_is_held_until_it_is_released() {
    let (google, times) = google().await;
    let token = google.token();
    for (strike, effect) in [(Strike::Hold, 0), (Strike::HoldAnswer, 1)] {
        times.store(0, Ordering::SeqCst);
        let held = google.fault(Fault::once(GET, strike));
        let asked = send(&google, "GET", SERVICE, "", Some(&token));
        let released = async {
            held.strikes().await;
            // What is held holds nothing else up.
            call(&google, "GET", SERVICE, "").await;
            assert_eq!(times.load(Ordering::SeqCst), 1 + effect);
            held.release();
        };
        let (answer, ()) = tokio::join!(asked, released);
        assert_eq!(answer.unwrap().0, 200);
        assert_eq!(times.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_document_names_this_server() {
    let (google, _) = google().await;
    let path = "/$discovery/rest?api=run&version=v2";
    let (_, document) = with_token(&google, "GET", path, "", None).await;
    assert_eq!(document["id"], "run:v2");
    assert_eq!(document["rootUrl"], format!("{}/", google.url()));
}

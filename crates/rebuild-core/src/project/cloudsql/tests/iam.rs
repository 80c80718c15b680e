//! Logins by a token of the account in the place of a password.

use super::*;
use crate::ErrorKind;

#[tokio::test]
async fn an_iam_user_gets_in_by_a_token_alone() {
    for kind in ["CLOUD_IAM_USER", "CLOUD_IAM_SERVICE_ACCOUNT"] {
        let world = World::new().await;
        let role = world.iam_user(kind).await.replace('@', "%40");
        let spec = world.spec(&format!("{}iam_login = true\n", world.socket()));
        let spec = spec.replace("user=postgres", &format!("user={role}"));
        let project = world.project(&spec).await.expect("a project");
        let (summary, verdict) = project.backup().await.expect("a backup");
        assert!(verdict.passed(), "{verdict:?}");
        assert_eq!(summary.rows, 2500, "{kind}");

        // A password does not let it in, nor what is no token.
        for password in ["tr0ub4dor", "ya29.made-up"] {
            let spec = spec
                .replace("iam_login = true\n", "")
                .replace("tr0ub4dor", password);
            let project = world.project(&spec).await.expect("a project");
            let e = project.status(false).await.expect_err("it is no token");
            assert_eq!(e.kind(), ErrorKind::Unreachable, "{e:?}");
            assert!(e.chain().contains("authentication failed"), "{e:?}");
        }
        world.google.assert_clean();
    }
}

#[tokio::test]
async fn the_token_of_somebody_else_lets_nobody_in() {
    let world = World::new().await;
    world.iam_user("CLOUD_IAM_USER").await;
    let somebody = "somebody@example.org";
    let user = serde_json::json!({"name": somebody, "type": "CLOUD_IAM_USER"});
    let post = reqwest::Method::POST;
    world.admin(post, "instances/main/users", user).await;
    let spec = world.spec(&format!("{}iam_login = true\n", world.socket()));
    let spec = spec.replace("user=postgres", "user=somebody%40example.org");
    let project = world.project(&spec).await.expect("a project");
    let e = project.status(false).await.expect_err("another account");
    assert!(e.chain().contains("authentication failed"), "{e:?}");
    // And a user with a password is asked for that.
    let spec = spec.replace("somebody%40example.org", "postgres");
    let project = world.project(&spec).await.expect("a project");
    let e = project.status(false).await.expect_err("no password");
    assert!(
        e.chain().contains("password authentication failed"),
        "{e:?}"
    );
    world.google.assert_clean();
}

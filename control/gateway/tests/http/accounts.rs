//! Accounts, sessions, profiles and plans over HTTP.

use control_client::{ControlClient, Credential};
use control_types::ErrorWord;
use control_types::accounts::{NewProfile, Session, SignIn};
use reqwest::header::{COOKIE, SET_COOKIE};

use crate::lab::{Lab, PASSWORD, Plan, sign_up};

fn sign_in(email: &str, password: &str) -> SignIn {
    SignIn { email: email.into(), password: password.into() }
}

fn as_member(lab: &Lab, session: &Session) -> ControlClient {
    lab.nobody().with_credential(Credential::Member(session.access_token.clone()))
}

#[tokio::test]
async fn an_account_is_opened_once_and_signs_in() {
    let lab = Lab::start().await;
    let (member, session, _) = lab.member("Ann@Example.org").await;
    assert_eq!(session.account.email, "ann@example.org");
    assert_eq!(member.account().await.unwrap().id, session.account.id);

    let taken = lab.nobody().sign_up(&sign_up("ann@example.org")).await.err().unwrap();
    assert_eq!(taken.word(), Some(ErrorWord::Conflict));

    let again = lab.nobody().sign_in(&sign_in("ANN@example.org", PASSWORD)).await.unwrap();
    assert_eq!(again.account.id, session.account.id);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_read_the_same() {
    let lab = Lab::start().await;
    lab.member("ann@example.org").await;
    let mut said = Vec::new();
    for email in ["ann@example.org", "bob@example.org"] {
        let error = lab.nobody().sign_in(&sign_in(email, "not the password")).await.err().unwrap();
        assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
        let control_client::ClientError::Refused { body, .. } = error else { panic!() };
        said.push(body.message);
    }
    assert_eq!(said[0], said[1]);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let lab = Lab::start().await;
    let (_, first, _) = lab.member("ann@example.org").await;
    let second = lab.nobody().refresh(&first.refresh_token).await.unwrap();
    assert_ne!(second.refresh_token, first.refresh_token);
    as_member(&lab, &second).account().await.unwrap();

    let reused = lab.nobody().refresh(&first.refresh_token).await.err().unwrap();
    assert_eq!(reused.word(), Some(ErrorWord::Unauthenticated));
    // Whoever holds the newest token is signed out too: one of the two is a thief.
    let ended = lab.nobody().refresh(&second.refresh_token).await.err().unwrap();
    assert_eq!(ended.word(), Some(ErrorWord::Unauthenticated));
    let ended = as_member(&lab, &second).account().await.unwrap_err();
    assert_eq!(ended.word(), Some(ErrorWord::Unauthenticated));
}

#[tokio::test]
async fn a_browser_refreshes_by_cookie() {
    let lab = Lab::start_with(Plan { refresh_grace_ms: 0, ..Plan::default() }).await;
    let http = reqwest::Client::new();
    let opened = http.post(format!("{}/v1/accounts", lab.url));
    let opened = opened.json(&sign_up("ann@example.org")).send().await.unwrap();
    assert_eq!(opened.status(), 201);
    let cookie = opened.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["nf_refresh=", "HttpOnly", "SameSite=Strict", "Path=/v1/sessions"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();

    let refresh = || http.post(format!("{}/v1/sessions/refresh", lab.url));
    let answer = refresh().header(COOKIE, &pair).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let next = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert_ne!(next.split(';').next(), Some(pair.as_str()), "the cookie rotates");

    let spent = refresh().header(COOKIE, &pair).send().await.unwrap();
    assert_eq!(spent.status(), 401);
    let cleared = spent.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    assert_eq!(refresh().send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let lab = Lab::start().await;
    let (member, session, _) = lab.member("ann@example.org").await;
    member.sign_out().await.unwrap();
    let error = member.account().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
    let error = lab.nobody().refresh(&session.refresh_token).await.err().unwrap();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
}

#[tokio::test]
async fn profiles_come_and_go_and_are_ones_own() {
    let lab = Lab::start().await;
    let (ann, _, first) = lab.member("ann@example.org").await;
    let (bob, _, _) = lab.member("bob@example.org").await;
    let kid = ann.add_profile(&NewProfile { name: "Kid".into() }).await.unwrap();
    assert_eq!(ann.profiles().await.unwrap().len(), 2);
    let error = ann.add_profile(&NewProfile { name: "kid".into() }).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict));

    let error = bob.home(kid.id).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound), "somebody else's profile is not there");
    ann.remove_profile(kid.id).await.unwrap();
    let error = ann.remove_profile(first).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict), "the last profile stays");
}

#[tokio::test]
async fn plans_are_public_and_chosen_by_name() {
    let lab = Lab::start().await;
    let plans = lab.nobody().plans().await.unwrap();
    assert_eq!(
        plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>(),
        ["basic", "standard", "premium"]
    );
    let (member, _, _) = lab.member("ann@example.org").await;
    assert_eq!(member.choose_plan("premium").await.unwrap().plan, "premium");
    let error = member.choose_plan("gold").await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
    assert!(error.to_string().contains("premium"), "the cure is named: {error}");
}

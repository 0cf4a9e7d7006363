use super::{Bench, DEVICE, READ, SIGNED, WORKSPACE, ok};
use crate::runtime::{Operation, Security, sign};
use crate::testing::Script;
use crate::{Call, Credentials, Error, Secret, Timestamp, WorkspaceCredentials};

const EITHER: Operation =
    Operation { security: &[Security::Scheme("deviceToken"), Security::Scheme("signature")], ..READ };
const POLL: Operation = Operation { security: &[Security::Scheme("pollToken")], ..READ };
const BOTH: Operation = Operation { security: &[Security::All(&["deviceToken", "deviceId"])], ..READ };
const OPTIONAL: Operation = Operation { security: &[Security::Scheme("signature"), Security::All(&[])], ..READ };

fn call(bench: &Bench, operation: &'static Operation) -> Call<String> {
    bench.client.call(operation, "/things")
}

#[test]
fn signatures_match_fixed_vectors() {
    let secret = Secret::from("bridge-secret-1");
    let at = Timestamp::from_millis(1_767_225_600_000);
    let ascii = br#"{"run_id":"r-1","command":"cargo test"}"#;
    assert_eq!(
        sign(&secret, at, "000102030405060708090a0b0c0d0e0f", Some(ascii)),
        "9b55e69d4580c6c36484006daca909c6f33a2d06c9cafdd05103246e8fac7749"
    );
    assert_eq!(
        sign(&secret, at, "nonce-2", Some("{\"note\":\"größer → 猫 🚀\"}".as_bytes())),
        "f4a07430d686c74a4da21b6f95110da9cf4bdb42eb7f7ac545ceb83d01e11c80"
    );
    assert_eq!(sign(&secret, at, "nonce-3", None), "0bfaa4d30765644770ca0b8e844e2be5fa751776b5f5ad5397f4b0275702b6cd");
    assert_eq!(
        sign(&"schlüssel-🔑".into(), Timestamp::from_millis(0), "n", Some(b"")),
        "e951ad08fdc159f7fb04d2b92e7e61008dfe851373c04efb3198e408cd538ada"
    );
}

#[tokio::test]
async fn every_attempt_is_signed_anew_over_the_bytes_that_are_sent() {
    let bench =
        Bench::with([Script::broken(), Script::refused(), ok()], |builder| builder.workspace(WORKSPACE, "s3cret"));
    call(&bench, &SIGNED).json(&serde_json::json!({ "note": "grün 🌱" })).await.expect("the third attempt succeeds");

    for request in bench.transport.requests() {
        let header = |name: &str| request.headers[name].to_str().expect("headers are text");
        let millis = header("x-timestamp").parse().expect("milliseconds");
        let expected =
            sign(&"s3cret".into(), Timestamp::from_millis(millis), header("x-nonce"), request.body.as_deref());
        assert_eq!(header("x-signature"), expected);
        assert_eq!(header("x-workspace-id"), WORKSPACE.to_string());
        assert!(request.headers["x-signature"].is_sensitive());
    }
    let mut nonces = bench.header("x-nonce");
    nonces.dedup();
    assert_eq!(nonces.len(), 3);
    let timestamps = bench.header("x-timestamp");
    assert_ne!(timestamps[0], timestamps[2], "the clock has moved between attempts");
}

#[tokio::test]
async fn a_request_without_a_body_is_signed_over_an_empty_object() {
    let bench = Bench::with([ok()], |builder| builder.workspace(WORKSPACE, "s3cret"));
    call(&bench, &SIGNED).await.expect("succeeds");
    let millis = bench.header("x-timestamp")[0].parse().expect("milliseconds");
    let expected = sign(&"s3cret".into(), Timestamp::from_millis(millis), &bench.header("x-nonce")[0], Some(b"{}"));
    assert_eq!(bench.header("x-signature")[0], expected);
}

#[tokio::test]
async fn the_first_alternative_that_can_be_filled_is_used() {
    let bench = Bench::with([ok()], |builder| builder.workspace(WORKSPACE, "s").device_token("token"));
    call(&bench, &EITHER).await.expect("succeeds");
    assert_eq!(bench.header("authorization"), ["Bearer token"]);
    assert_eq!(bench.header("x-signature"), [""]);

    let bench = Bench::with([ok()], |builder| builder.workspace(WORKSPACE, "s"));
    call(&bench, &EITHER).await.expect("succeeds");
    assert_eq!(bench.header("authorization"), [""]);
    assert_ne!(bench.header("x-signature"), [""]);
}

#[tokio::test]
async fn schemes_that_go_together_are_sent_together() {
    let bench = Bench::with([ok()], |builder| builder.device_id(DEVICE).device_token("token"));
    call(&bench, &BOTH).await.expect("succeeds");
    assert_eq!(bench.header("authorization"), ["Bearer token"]);
    assert_eq!(bench.header("x-device-id"), [DEVICE.to_string()]);
}

#[tokio::test]
async fn a_token_for_one_call_goes_before_the_clients_own() {
    let bench = Bench::with([ok(), ok()], |builder| builder.workspace(WORKSPACE, "s").device_token("token"));
    call(&bench, &POLL).bearer("poll").await.expect("succeeds");
    call(&bench, &EITHER).bearer("other").await.expect("succeeds");
    assert_eq!(bench.header("authorization"), ["Bearer poll", "Bearer other"]);
}

#[tokio::test]
async fn what_is_optional_is_sent_when_it_is_there() {
    let bench = Bench::new([ok()]);
    call(&bench, &OPTIONAL).await.expect("works without credentials");
    assert_eq!(bench.header("x-signature"), [""]);

    let bench = Bench::with([ok()], |builder| builder.workspace(WORKSPACE, "s"));
    call(&bench, &OPTIONAL).await.expect("succeeds");
    assert_ne!(bench.header("x-signature"), [""]);
}

#[tokio::test]
async fn missing_credentials_are_named_and_nothing_is_sent() {
    let bench = Bench::with([ok()], |builder| builder.device_id(DEVICE));
    let error = call(&bench, &EITHER).await.expect_err("a device id is not enough");
    assert!(matches!(error, Error::Credentials { operation: "getThing", .. }));
    assert_eq!(
        error.to_string(),
        "no credentials for `getThing`: set a device token (`ClientBuilder::device_token`, or \
         FLIGHTDECK_DEVICE_TOKEN), or a workspace (`ClientBuilder::workspace`, or FLIGHTDECK_WORKSPACE_ID and \
         FLIGHTDECK_BRIDGE_SECRET)"
    );
    assert_eq!(bench.attempts(), 0);

    let error = call(&bench, &POLL).await.expect_err("nobody gave a poll token");
    assert!(error.to_string().contains("`Call::bearer`, scheme `pollToken`"), "{error}");
}

#[tokio::test]
async fn a_credential_that_cannot_be_sent_is_refused_without_showing_it() {
    let bench = Bench::with([ok()], |builder| builder.device_token("tok\nen"));
    let error = call(&bench, &EITHER).await.expect_err("a line break cannot be sent");
    assert!(!format!("{error} {error:?}").contains("tok"), "{error:?}");
}

#[test]
fn secrets_are_hidden() {
    let credentials = Credentials {
        workspace: Some(WorkspaceCredentials { workspace_id: WORKSPACE, bridge_secret: "hunter2".into() }),
        device_token: Some("hunter2".into()),
        device_id: None,
    };
    let bench = Bench::with([], |builder| builder.credentials(credentials.clone()));
    let builder = crate::Client::builder().credentials(credentials.clone());
    let call: Call<String> = bench.client.call(&SIGNED, "/things").bearer("hunter2");
    let shown = format!("{credentials:?} {:?} {builder:?} {call:?}", bench.client);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("[redacted]"), "{shown}");
}

#[tokio::test]
async fn other_credentials_share_the_rest() {
    let bench = Bench::new([ok()]);
    let paired =
        bench.client.with_credentials(Credentials { device_token: Some("token".into()), ..Credentials::default() });
    let _: String = paired.call(&EITHER, "/things").await.expect("succeeds");
    assert_eq!(bench.header("authorization"), ["Bearer token"]);
}

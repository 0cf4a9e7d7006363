use std::collections::BTreeMap;
use std::time::Duration;

use super::{DEVICE, WORKSPACE};
use crate::{Client, ClientBuilder, Result};

fn builder(variables: &[(&str, &str)]) -> ClientBuilder {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    Client::builder().variables(|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn build(variables: &[(&str, &str)]) -> Result<Client> {
    builder(variables).build()
}

#[test]
fn the_defaults() {
    let client = build(&[]).expect("the defaults are right");
    let shared = client.shared();
    assert_eq!(client.base_url().as_str(), "http://127.0.0.1:8787/");
    assert_eq!((shared.timeout, shared.deadline), (Duration::from_secs(30), Duration::from_secs(60)));
    assert_eq!(shared.retry.retries, 4);
    assert_eq!(shared.body_limit, 8 * 1024 * 1024);
    assert!(shared.credentials.workspace.is_none());
}

#[test]
fn the_environment_goes_before_the_defaults() {
    let (workspace, device) = (WORKSPACE.to_string(), DEVICE.to_string());
    let client = build(&[
        ("FLIGHTDECK_URL", "https://deck.example/"),
        ("FLIGHTDECK_WORKSPACE_ID", &workspace),
        ("FLIGHTDECK_BRIDGE_SECRET", " secret\n"),
        ("FLIGHTDECK_DEVICE_TOKEN", "token"),
        ("FLIGHTDECK_DEVICE_ID", &device),
        ("FLIGHTDECK_TIMEOUT_MS", "1500"),
        ("FLIGHTDECK_DEADLINE_MS", "2500"),
        ("FLIGHTDECK_RETRIES", "0"),
    ])
    .expect("the variables are right");
    let shared = client.shared();
    assert_eq!(client.base_url().as_str(), "https://deck.example/");
    assert_eq!((shared.timeout, shared.deadline), (Duration::from_millis(1500), Duration::from_millis(2500)));
    assert_eq!(shared.retry.retries, 0);
    let credentials = &shared.credentials;
    let workspace = credentials.workspace.as_ref().expect("a workspace is set");
    assert_eq!((workspace.workspace_id, workspace.bridge_secret.expose()), (WORKSPACE, "secret"));
    assert_eq!(credentials.device_token.as_ref().expect("a token is set").expose(), "token");
    assert_eq!(credentials.device_id, Some(DEVICE));
}

#[test]
fn the_program_goes_before_the_environment_even_where_that_is_wrong() {
    let client =
        builder(&[("FLIGHTDECK_URL", "nonsense"), ("FLIGHTDECK_TIMEOUT_MS", "soon"), ("FLIGHTDECK_RETRIES", "x")])
            .base_url("http://localhost:1")
            .timeout(Duration::from_secs(1))
            .retries(2)
            .build()
            .expect("the wrong variables are overridden");
    assert_eq!(client.base_url().as_str(), "http://localhost:1/");
    assert_eq!(client.shared().retry.retries, 2);
}

#[test]
fn an_empty_variable_is_not_set() {
    build(&[("FLIGHTDECK_URL", ""), ("FLIGHTDECK_DEVICE_ID", " ")]).expect("empty is the same as missing");
}

#[test]
fn a_wrong_value_is_refused_with_its_name_and_the_fix() {
    let cases: [(&[(&str, &str)], &str); 7] = [
        (
            &[("FLIGHTDECK_URL", "deck.example")],
            "FLIGHTDECK_URL is not a URL (relative URL without a base); give one like https://flightdeck.example.com \
             or http://127.0.0.1:8787",
        ),
        (&[("FLIGHTDECK_URL", "ftp://deck.example")], "FLIGHTDECK_URL is not an http or https URL; give one like"),
        (&[("FLIGHTDECK_URL", "http://me:pw@deck.example")], "FLIGHTDECK_URL holds a user name or password"),
        (
            &[("FLIGHTDECK_TIMEOUT_MS", "0")],
            "FLIGHTDECK_TIMEOUT_MS is \"0\", which is not a time in milliseconds above zero, such as 30000; set it to \
             that, or unset it",
        ),
        (&[("FLIGHTDECK_RETRIES", "-1")], "FLIGHTDECK_RETRIES is \"-1\", which is not a number of repetitions"),
        (&[("FLIGHTDECK_DEVICE_ID", "phone")], "FLIGHTDECK_DEVICE_ID is \"phone\", which is not an id such as"),
        (
            &[("FLIGHTDECK_BRIDGE_SECRET", "hunter2")],
            "FLIGHTDECK_BRIDGE_SECRET is set but FLIGHTDECK_WORKSPACE_ID is not; a workspace needs both",
        ),
    ];
    for (variables, expected) in cases {
        let error = build(variables).expect_err("the value is wrong").to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("pw"), "{error}");
    }
}

//! What poem-openapi and schemars derive from the stubs agrees with the golden spec.

use serde_json::{Value, json};

use crate::generated::OPERATIONS;
use crate::generated::errors::ErrorCode;
use crate::generated::types::{Color, Keywords, Option_, Scalars, Shape, States, Tree};
use crate::service::service;

fn document() -> Value {
    serde_json::from_str(&service().spec()).expect("the document is JSON")
}

fn schema<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

#[test]
fn poem_shows_limits() {
    let scalars = &document()["components"]["schemas"]["Scalars"]["properties"];
    assert_eq!(scalars["text"]["minLength"], 1);
    assert_eq!(scalars["text"]["maxLength"], 10);
    assert_eq!(scalars["text"]["pattern"], "^[^\u{0}\"]*$");
    assert_eq!(scalars["names"]["maxItems"], 3);
    assert_eq!(scalars["int32"]["minimum"], json!(-5.0));
    assert_eq!(scalars["at"]["format"], "date-time");
    assert_eq!(scalars["old"]["deprecated"], true);
}

#[test]
fn poem_shows_unions_with_their_mapping() {
    let shape = &document()["components"]["schemas"]["Shape"];
    assert_eq!(shape["oneOf"].as_array().map(Vec::len), Some(3));
    assert_eq!(shape["discriminator"]["propertyName"], "kind");
    assert_eq!(shape["discriminator"]["mapping"]["circle"], "#/components/schemas/Shape_Circle");
}

#[test]
fn poem_shows_parameters() {
    let document = document();
    let parameters = document["paths"]["/things/{thing_id}/parts/{type}/{self}"]["get"]["parameters"].clone();
    let parameters = parameters.as_array().expect("there are parameters").clone();
    let find = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).expect(name).clone();
    assert_eq!(parameters.len(), 18);
    assert_eq!((&find("context")["required"], &find("cursor")["required"]), (&json!(true), &json!(false)));
    assert_eq!((&find("limit")["schema"]["default"], &find("limit")["required"]), (&json!(50), &json!(false)));
    assert_eq!(find("limit")["schema"]["maximum"], json!(200.0));
    assert_eq!(find("must")["schema"]["maxItems"], 2);
    assert_eq!(find("X-Depth")["in"], "header");
    assert_eq!(find("self")["in"], "path");
    let create = &document["paths"]["/things"]["post"]["parameters"][0];
    assert_eq!((&create["in"], &create["name"]), (&json!("header"), &json!("IDEMPOTENCY-KEY")));
}

#[test]
fn poem_shows_answers_and_refusals() {
    let document = document();
    let responses = &document["paths"]["/things"]["post"]["responses"];
    let statuses: Vec<&String> = responses.as_object().expect("there are responses").keys().collect();
    assert_eq!(statuses, ["200", "201", "204", "400", "401", "404", "408", "413", "415", "422", "429", "500", "503"]);
    let refusal = &responses["429"];
    assert_eq!(refusal["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Error");
    assert!(refusal["headers"]["Retry-After"].is_object());
    assert!(responses["400"].get("headers").is_none());
    let text = &document["paths"]["/text"]["get"]["responses"]["200"]["content"];
    assert!(text.get("text/plain; charset=utf-8").is_some(), "{text}");
}

#[test]
fn schemars_knows_what_is_required_and_what_is_null() {
    let states = schema::<States>();
    assert_eq!(states["required"], json!(["plain", "nullable", "nullable_shape"]));
    let properties = &states["properties"];
    assert_eq!(properties["plain"]["type"], "string");
    assert_eq!(properties["nullable"]["type"], json!(["string", "null"]));
    assert_eq!(properties["nullable"]["maxLength"], 5);
    assert_eq!(properties["optional"]["type"], "string");
    assert_eq!(properties["optional"].get("default"), None);
    assert_eq!(properties["both"]["type"], json!(["string", "null"]));
    assert_eq!(properties["both"].get("default"), None);
    assert_eq!(properties["both_object"]["anyOf"][1]["type"], "null");
}

#[test]
fn schemars_knows_limits_names_and_values() {
    let scalars = schema::<Scalars>();
    let properties = &scalars["properties"];
    assert_eq!(properties["text"]["pattern"], "^[^\u{0}\"]*$");
    assert_eq!((&properties["names"]["minItems"], &properties["names"]["maxItems"]), (&json!(1), &json!(3)));
    assert_eq!(properties["number"]["maximum"], json!(100.0));
    assert_eq!(properties["int32"]["minimum"], json!(-5));
    assert_eq!(properties["link"]["format"], "uri");
    assert_eq!(properties["large"], json!({ "type": "string", "format": "int64", "description": "A large integer." }));
    assert_eq!(properties["old"]["deprecated"], true);
    let values: Vec<&str> = Color::ALL.iter().map(|color| color.as_str()).collect();
    assert_eq!(schema::<Color>()["enum"], json!(values));
    assert_eq!(values, ["red", "Unknown", "self", "1d", "on-request", "two words"]);
    let names = schema::<Keywords>()["properties"].as_object().expect("it has properties").len();
    assert_eq!(names, 11);
    assert_eq!(schema::<Option_>()["title"], "Option");
    assert!(schema::<Tree>()["properties"]["left"]["$ref"].is_string());
    assert_eq!(schema::<Shape>()["oneOf"].as_array().map(Vec::len), Some(3));
}

#[test]
fn operations_can_be_asked_without_calling_them() {
    let create = OPERATIONS.iter().find(|operation| operation.id == "createThing").expect("it is there");
    assert_eq!((create.method, create.path, create.surface), ("POST", "/things", "things"));
    assert_eq!(create.security, [&["key", "token"][..], &["token"][..]]);
    assert!(create.idempotent && create.errors.contains(&ErrorCode::RateLimited));
    assert_eq!(OPERATIONS.len(), 10);
}

#[test]
fn closed_enums_say_what_they_know() {
    assert_eq!("self".parse(), Ok(Color::Self_));
    let error = "blue".parse::<Color>().expect_err("it is no color of the spec");
    assert_eq!(error.to_string(), "\"blue\" is not one of red, Unknown, self, 1d, on-request, two words");
    assert_eq!("unknown".parse(), Ok(ErrorCode::Unknown));
}

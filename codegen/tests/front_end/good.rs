//! A sound spec: its model, its document, and that both are always the same.

use flightdeck_codegen::bundle;
use flightdeck_codegen::ir::{Field, Message, Protocol, Raw, Shape, Type};
use flightdeck_codegen::output::produce;

use crate::{snapshot, specs};

fn protocol() -> Protocol {
    let compilation = specs::compile(specs::good());
    let report = compilation.report();
    compilation.protocol.unwrap_or_else(|| panic!("the good spec is not sound:\n{report}"))
}

#[test]
fn the_good_spec_has_nothing_to_say_about() {
    let compilation = specs::compile(specs::good());
    assert!(compilation.diagnostics.is_empty(), "{}", compilation.report());
}

#[test]
fn the_model_is_as_expected() {
    let mut text = serde_json::to_string_pretty(&protocol()).expect("the model serialises");
    text.push('\n');
    snapshot::check(&snapshot::folder().join("ir.json"), &text);
}

#[test]
fn the_documents_are_as_expected() {
    let compilation = specs::compile(specs::good());
    let protocol = protocol();
    let files = bundle::emit(&compilation.sources, &compilation.documents, &protocol).expect("it can be written");
    let [operations, sockets] = files.as_slice() else { panic!("there are two documents") };
    snapshot::check(&snapshot::folder().join("bundle.json"), &operations.contents);
    snapshot::check(&snapshot::folder().join("asyncapi.json"), &sockets.contents);
}

/// Both documents, read back.
fn documents() -> [serde_json::Value; 2] {
    let compilation = specs::compile(specs::good());
    let files = bundle::emit(&compilation.sources, &compilation.documents, &protocol()).expect("it can be written");
    for file in &files {
        assert!(!file.contents.contains(".yaml"), "a reference to a file was left in {}", file.path.display());
    }
    let read = |index: usize| serde_json::from_str(&files[index].contents).expect("it is JSON");
    [read(0), read(1)]
}

#[test]
fn every_reference_of_the_documents_leads_somewhere() {
    for document in documents() {
        let mut found = 0;
        let mut waiting = vec![&document];
        while let Some(value) = waiting.pop() {
            match value {
                serde_json::Value::Array(items) => waiting.extend(items),
                serde_json::Value::Object(entries) => waiting.extend(entries.values()),
                serde_json::Value::String(text) if text.starts_with('#') => {
                    assert!(document.pointer(&text[1..]).is_some(), "{text} leads nowhere");
                    found += 1;
                }
                _ => {}
            }
        }
        assert!(found > 20, "only {found} references were found");
    }
}

#[test]
fn each_document_has_the_types_that_it_reaches() {
    let [operations, sockets] = documents();
    let has = |document: &serde_json::Value, name: &str| document["components"]["schemas"].get(name).is_some();
    // Of operations, of both, and of sockets.
    for (name, of_operations, of_sockets) in
        [("BookPage", true, false), ("Error", true, false), ("Loan", true, true), ("Found", false, true)]
    {
        assert_eq!((has(&operations, name), has(&sockets, name)), (of_operations, of_sockets), "{name}");
    }
}

#[test]
fn messages_can_be_validated_by_the_document() {
    let [_, sockets] = documents();
    let accepts = |ty: &str, message: serde_json::Value| {
        let schema = serde_json::json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{ty}"),
            "components": sockets["components"],
        });
        jsonschema::validator_for(&schema).expect("the schema can be compiled").is_valid(&message)
    };
    for (_, channel) in sockets["channels"].as_object().expect("there are channels") {
        for (_, message) in channel["messages"].as_object().expect("there are messages") {
            if message.get("contentType").is_some() {
                assert_eq!(message.get("payload"), None, "raw data has no type");
                continue;
            }
            let ty = message["payload"]["$ref"].as_str().and_then(|it| it.rsplit('/').next()).expect("it has a type");
            assert!(!accepts(ty, serde_json::json!({"say": "nonsense"})), "{ty} accepts anything");
        }
    }
    let found = serde_json::json!({
        "say": "found", "shelf": "A", "place": 1, "content": {"type": "prose", "words": 3},
    });
    assert!(accepts("Found", found.clone()));
    let mut of_another_kind = found;
    of_another_kind["content"]["type"] = "poetry".into();
    assert!(!accepts("Found", of_another_kind));
    for mark in [serde_json::json!(null), serde_json::json!([1]), serde_json::json!("x")] {
        assert!(accepts("Follow", serde_json::json!({"say": "follow", "shelf": "A", "mark": mark})));
    }
}

#[test]
fn a_spec_needs_no_sockets() {
    let mut spec = specs::good();
    let of_sockets = ["Follow", "Unfollow", "Knock", "Happened", "ShelfLoan", "Found", "Torn", "Notice", "Ring"];
    spec.retain(|path, _| !path.starts_with("asyncapi/") && !path.starts_with("examples/sockets/"));
    spec.retain(|path, _| !of_sockets.iter().any(|name| *path == format!("schemas/{name}.yaml")));
    let mut errors = vec![("implied_by: socket", "implied_by: server")];
    errors.extend([
        ("not_json: {", "not_json: { implied_by: server,"),
        ("unknown_message: {", "unknown_message: { implied_by: server,"),
        ("invalid_message: {", "invalid_message: { implied_by: server,"),
    ]);
    specs::edit(&mut spec, "errors.yaml", &errors);
    let compilation = specs::compile(spec);
    let report = compilation.report();
    let protocol = compilation.protocol.as_ref().unwrap_or_else(|| panic!("the spec is not sound:\n{report}"));
    assert!(protocol.sockets.is_empty() && protocol.close_codes.is_empty());
    let files = bundle::emit(&compilation.sources, &compilation.documents, protocol).expect("it can be written");
    assert_eq!(files.len(), 1, "there is nothing to say about sockets");
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    let run = || {
        let compilation = specs::compile(specs::good());
        let protocol = compilation.protocol.clone().expect("the good spec is sound");
        (compilation.sources.hash(), produce(&compilation, &protocol).expect("every target succeeds"))
    };
    assert_eq!(run(), run());
}

#[test]
fn fields_that_contain_their_own_type_are_marked() {
    let protocol = protocol();
    let recursive = |name: &str| -> Vec<String> {
        let Shape::Object { fields } = &protocol.types[name].shape else { panic!("{name} is an object") };
        fields.iter().filter(|field| field.recursive).map(|field| field.name.clone()).collect()
    };
    // Straight, by way of another type, and by way of a union; a list between breaks the chain.
    assert_eq!(recursive("Book"), ["author", "sequel"]);
    assert_eq!(recursive("Author"), ["masterpiece"]);
    assert_eq!(recursive("Anthology"), ["first"]);
    assert_eq!(recursive("BookPage"), [""; 0]);
}

#[test]
fn optional_and_nullable_are_two_bits() {
    let protocol = protocol();
    let Shape::Object { fields } = &protocol.types["Book"].shape else { panic!("a book is an object") };
    let field = |name: &str| -> &Field { fields.iter().find(|field| field.name == name).expect("the field exists") };
    let bits = |name: &str| (field(name).required, field(name).nullable);
    assert_eq!(bits("title"), (true, false));
    assert_eq!(bits("note"), (true, true));
    assert_eq!(bits("lendable"), (false, false));
    assert_eq!(bits("subtitle"), (false, true));
    assert_eq!(field("copies").ty, Type::Unsigned);
    assert_eq!(field("isbn").ty, Type::Int64Text);
}

#[test]
fn what_may_be_repeated_is_known() {
    let mut spec = specs::good();
    let created = ("\"201\":\n        description: It is lent.", "\"200\":\n        description: It is lent.");
    specs::edit(&mut spec, "openapi/paths/loans.yaml", &[("x-idempotent: true", "x-repeatable: true"), created]);
    // No operation takes a key any more.
    specs::edit(&mut spec, "errors.yaml", &[("implied_by: idempotency", "implied_by: operation")]);
    let compilation = specs::compile(spec);
    let report = compilation.report();
    let protocol = compilation.protocol.as_ref().unwrap_or_else(|| panic!("the spec is not sound:\n{report}"));
    let operations = protocol.surfaces.iter().flat_map(|surface| &surface.operations);
    let repeatable: Vec<&str> = operations.filter(|it| it.repeatable).map(|it| it.id.as_str()).collect();
    assert_eq!(repeatable, ["listBooks", "getBook", "deleteBook", "readPage", "createLoan", "listLoans"]);
    let files = bundle::emit(&compilation.sources, &compilation.documents, protocol).expect("it can be written");
    let document: serde_json::Value = serde_json::from_str(&files[0].contents).expect("it is JSON");
    let loans = &document["paths"]["/loans"];
    assert_eq!(loans["post"]["x-repeatable"], true);
    assert_eq!(loans["get"].get("x-repeatable"), None, "only what an author wrote");
}

#[test]
fn a_socket_knows_what_its_file_says_and_what_follows_from_it() {
    let protocol = protocol();
    let names: Vec<&str> = protocol.sockets.iter().map(|socket| socket.name.as_str()).collect();
    assert_eq!(names, ["counter", "bell"], "the order is that of the list");
    let [counter, bell] = protocol.sockets.as_slice() else { panic!("there are two sockets") };
    let signs = |messages: &[Message]| -> Vec<String> {
        messages.iter().map(|it| it.tag.clone().or_else(|| it.recognised_by.clone()).expect("it has one")).collect()
    };
    assert_eq!(signs(&counter.client_messages), ["follow", "unfollow", "knock"]);
    assert_eq!(signs(&counter.server_messages), ["knock", "happened", "found", "torn", "notice"]);
    let secrets: Vec<(&str, bool)> =
        counter.parameters.iter().map(|it| (it.parameter.name.as_str(), it.secret)).collect();
    let expected = [("order", false), ("kinds", false), ("patience", false), ("readerName", false), ("card", true)];
    assert_eq!(secrets, expected);
    let implied = ["internal", "unavailable", "invalid_request", "credential_missing", "card_invalid"];
    assert_eq!(counter.errors, [&implied[..], &["book_not_found", "upgrade_required"]].concat());
    // No parameters and no credential: nothing of them can be wrong.
    assert_eq!(bell.errors, ["internal", "unavailable", "upgrade_required"]);
    let raw = Raw {
        client: Some("What a listener sings.".to_owned()),
        server: Some("What the bell sounds like.".to_owned()),
    };
    assert_eq!((&bell.raw, &counter.raw), (&raw, &Raw::default()));
    assert_eq!(counter.resume.as_ref().expect("it can be resumed").events[0].seq, ["loans", "place"]);
}

#[test]
fn a_socket_owns_the_discriminator_of_its_messages() {
    let protocol = protocol();
    for message in protocol.sockets.iter().flat_map(|it| it.client_messages.iter().chain(&it.server_messages)) {
        let Shape::Object { fields } = &protocol.types[&message.ty].shape else { panic!("a message is an object") };
        assert!(fields.iter().all(|field| field.name != "say"), "{}", message.ty);
    }
    let Shape::Object { fields } = &protocol.types["Follow"].shape else { panic!("a message is an object") };
    let mark = fields.iter().find(|field| field.name == "mark").expect("the field exists");
    assert_eq!((&mark.ty, mark.nullable), (&Type::Json, false), "null is JSON like any other");
}

#[test]
fn a_union_owns_its_discriminator() {
    let protocol = protocol();
    let Shape::Object { fields } = &protocol.types["Prose"].shape else { panic!("prose is an object") };
    assert!(fields.iter().all(|field| field.name != "type"));
}

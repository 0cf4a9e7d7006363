//! A sound spec: its model, its document, and that both are always the same.

use flightdeck_codegen::bundle;
use flightdeck_codegen::ir::{Field, Protocol, Shape, Type};
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
fn the_document_is_as_expected() {
    let compilation = specs::compile(specs::good());
    let protocol = protocol();
    let files = bundle::emit(&compilation.sources, &compilation.documents, &protocol).expect("it can be written");
    let [file] = files.as_slice() else { panic!("the document is one file") };
    snapshot::check(&snapshot::folder().join("bundle.json"), &file.contents);
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let compilation = specs::compile(specs::good());
    let files = bundle::emit(&compilation.sources, &compilation.documents, &protocol()).expect("it can be written");
    let document: serde_json::Value = serde_json::from_str(&files[0].contents).expect("it is JSON");
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
    assert!(!files[0].contents.contains(".yaml"), "a reference to a file was left");
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
fn a_union_owns_its_discriminator() {
    let protocol = protocol();
    let Shape::Object { fields } = &protocol.types["Prose"].shape else { panic!("prose is an object") };
    assert!(fields.iter().all(|field| field.name != "type"));
}

//! What a change of the spec does to existing clients.

use flightdeck_codegen::diff::{self, Change, Verdict};

use crate::{snapshot, specs};

type Edit<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn changes(edits: &[Edit<'_>]) -> Vec<Change> {
    let old = specs::compile(specs::good()).protocol.expect("the good spec is sound");
    let mut spec = specs::good();
    for (path, replacements) in edits {
        specs::edit(&mut spec, path, replacements);
    }
    let new = specs::compile(spec);
    let report = new.report();
    diff::compare(&old, &new.protocol.unwrap_or_else(|| panic!("the changed spec is not sound:\n{report}")))
}

fn verdict(edits: &[Edit<'_>]) -> Verdict {
    let found = changes(edits);
    let [change] = found.as_slice() else { panic!("one change was made, and {found:#?} were found") };
    change.verdict
}

const BOOKS: &str = "openapi/paths/books.yaml";
const LOANS: &str = "openapi/paths/loans.yaml";

#[test]
fn the_same_spec_has_no_changes() {
    assert_eq!(changes(&[]), []);
}

#[test]
fn what_clients_receive_may_only_say_less() {
    let loan = "schemas/Loan.yaml";
    let required = ("required: [loan_id, due_at]", "required: [loan_id]");
    assert_eq!(verdict(&[(loan, &[required])]), Verdict::Breaking);
    assert_eq!(
        verdict(&[(loan, &[("format: date-time }", "format: date-time }\n  note: { type: string }")])]),
        Verdict::Compatible
    );
    let nullable = ("due_at: { type: string,", "due_at: { type: [string, \"null\"],");
    assert_eq!(verdict(&[(loan, &[nullable])]), Verdict::Breaking);
}

#[test]
fn what_clients_send_may_only_be_asked_for_less() {
    let request = "schemas/LoanRequest.yaml";
    assert_eq!(verdict(&[(request, &[("required: [book_id]", "required: [book_id, weeks]")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(request, &[("required: [book_id]", "required: []")])]), Verdict::Compatible);
    assert_eq!(verdict(&[(request, &[("maximum: 8", "maximum: 4")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(request, &[("maximum: 8", "maximum: 12")])]), Verdict::Compatible);
}

#[test]
fn values_and_variants_may_be_added_but_not_taken_away() {
    assert_eq!(verdict(&[("schemas/Order.yaml", &[("[asc, desc]", "[asc, desc, random]")])]), Verdict::Compatible);
    assert_eq!(verdict(&[("schemas/Order.yaml", &[("[asc, desc]", "[asc]")])]), Verdict::Breaking);
}

#[test]
fn operations_keep_their_names_routes_parameters_and_answers() {
    assert_eq!(verdict(&[(BOOKS, &[("default: 20", "default: 30")])]), Verdict::Breaking);
    let without_202 = "      \"202\":\n        description: It will be, when somebody brings it back.\n";
    assert_eq!(verdict(&[(LOANS, &[(without_202, "")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(BOOKS, &[("{ card: [] }, { desk: [] }, {}", "{ card: [] }, {}")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(BOOKS, &[("summary: Get a book", "summary: Fetch a book")])]), Verdict::Documentation);
    assert_eq!(verdict(&[("openapi/openapi.yaml", &[("  /books:", "  /volumes:")])]), Verdict::Breaking);
}

#[test]
fn what_may_be_repeated_stays_so() {
    let protocol = || specs::compile(specs::good()).protocol.expect("the good spec is sound");
    let repeatable = |repeatable: bool| {
        let mut protocol = protocol();
        let operations = protocol.surfaces.iter_mut().flat_map(|surface| &mut surface.operations);
        let mut loans = operations.filter(|operation| operation.id == "createLoan");
        loans.next().expect("the operation exists").repeatable = repeatable;
        protocol
    };
    let verdicts = |old, new| -> Vec<Verdict> {
        diff::compare(&repeatable(old), &repeatable(new)).iter().map(|change| change.verdict).collect()
    };
    assert_eq!(verdicts(true, false), [Verdict::Breaking]);
    assert_eq!(verdicts(false, true), [Verdict::Compatible]);
}

#[test]
fn secrets_look_the_same_on_the_wire() {
    assert_eq!(verdict(&[("schemas/LoanRequest.yaml", &[("x-secret: true, ", "")])]), Verdict::Compatible);
}

#[test]
fn a_long_change_reads_well() {
    let found = changes(&[
        ("openapi/openapi.yaml", &[("version: 1.2.0", "version: 2.0.0"), ("name: X-Desk-Id", "name: X-Counter-Id")]),
        (
            BOOKS,
            &[
                ("description: In the order of their titles.", "description: In any order."),
                ("X-Reading-Room, in: header", "X-Reading-Room, in: header, required: true"),
                ("    x-errors: [book_not_found]\n", "    x-errors: [book_not_found, busy]\n"),
            ],
        ),
        (LOANS, &[("    x-idempotent: true\n", "    x-idempotent: true\n    deprecated: true\n")]),
        ("schemas/Content.yaml", &[("    prose: \"Prose.yaml\"", "    text: \"Prose.yaml\"")]),
        ("schemas/Prose.yaml", &[("const: prose", "const: text"), ("type: integer, minimum: 0", "type: string")]),
        ("schemas/Name.yaml", &[("maxLength: 100", "maxLength: 200")]),
        ("errors.yaml", &[("status: 413", "status: 400"), ("message: The desk is busy.", "message: Busy.")]),
    ]);
    snapshot::check(&snapshot::folder().join("difference.txt"), &diff::render(&found));
}

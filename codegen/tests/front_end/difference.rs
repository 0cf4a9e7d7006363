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
const SOCKETS: &str = "asyncapi/asyncapi.yaml";
const COUNTER: &str = "asyncapi/channels/counter.yaml";
const CLOSE_CODES: &str = "asyncapi/close-codes.yaml";

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
fn a_discriminator_may_be_read_more_kindly_but_not_less() {
    let bell = "asyncapi/channels/bell.yaml";
    let relaxed = ("x-discriminator: say", "x-discriminator: say\n  x-relaxed-discriminator: true");
    assert_eq!(verdict(&[(bell, &[relaxed])]), Verdict::Compatible);
}

#[test]
fn raw_data_neither_comes_nor_goes() {
    let bell = "asyncapi/channels/bell.yaml";
    for change in [("    receive: What a listener sings.\n", ""), ("    send: What the bell sounds like.\n", "")] {
        assert_eq!(verdict(&[(bell, &[change])]), Verdict::Breaking, "{change:?}");
    }
    let words = ("What a listener sings.", "What listeners sing.");
    assert_eq!(verdict(&[(bell, &[words])]), Verdict::Documentation);
    let counter = ("x-discriminator: say", "x-discriminator: say\n  x-raw: { receive: What readers whisper. }");
    let found = changes(&[(COUNTER, &[counter])]);
    let told: Vec<_> = found.iter().map(|change| (change.verdict, change.message.as_str())).collect();
    assert_eq!(told, [(Verdict::Breaking, "clients send raw data now")]);
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
    assert_eq!(changes(&[(COUNTER, &[("x-secret: true, ", "")])]), []);
}

#[test]
fn either_side_of_a_socket_may_learn_messages_but_not_forget_them() {
    let knock = "    - { $ref: \"#/channel/messages/knock\" }\n";
    let in_receive = format!("unfollow\" }}\n{knock}");
    assert_eq!(verdict(&[(COUNTER, &[(&in_receive, "unfollow\" }\n")])]), Verdict::Breaking);
    let in_send = format!("  messages:\n{knock}");
    assert_eq!(verdict(&[(COUNTER, &[(&in_send, "  messages:\n")])]), Verdict::Breaking);
    let follow = "    - { $ref: \"#/channel/messages/follow\" }\n";
    let torn = "    - { $ref: \"#/channel/messages/torn\" }\n";
    let more = format!("{follow}{torn}");
    assert_eq!(verdict(&[(COUNTER, &[(follow, &more)])]), Verdict::Compatible);
    let more = format!("{torn}    - {{ $ref: \"#/channel/messages/unfollow\" }}\n");
    assert_eq!(verdict(&[(COUNTER, &[(torn, &more)])]), Verdict::Compatible);
}

#[test]
fn messages_are_held_to_the_direction_in_which_they_travel() {
    let required = ("required: [say, shelf, next_seq]", "required: [say, next_seq]");
    // What clients say may be asked for less, what they hear may not say less, and what goes both ways is held to both.
    assert_eq!(verdict(&[("schemas/Unfollow.yaml", &[("maxLength: 20", "maxLength: 30")])]), Verdict::Compatible);
    assert_eq!(verdict(&[("schemas/Unfollow.yaml", &[("maxLength: 20", "maxLength: 10")])]), Verdict::Breaking);
    let torn = "schemas/Torn.yaml";
    assert_eq!(verdict(&[(torn, &[("string }", "string }\n  word: { type: string }")])]), Verdict::Compatible);
    let knock = "schemas/Knock.yaml";
    assert_eq!(verdict(&[(knock, &[("minimum: 1", "minimum: 2")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(knock, &[("minimum: 1", "minimum: 0")])]), Verdict::Breaking);
    assert_eq!(verdict(&[("schemas/Happened.yaml", &[("array,", "array, maxItems: 9,")])]), Verdict::Compatible);
    let found = changes(&[(COUNTER, &[("    key: shelf\n", "")]), (torn, &[required])]);
    let texts: Vec<String> = found.iter().map(|change| format!("{}: {}", change.subject, change.message)).collect();
    let resumed = "socket counter: is resumed in another way, or not at all";
    assert_eq!(texts, [resumed, "type Torn, field shelf: was required and is optional"]);
    assert!(found.iter().all(|change| change.verdict == Verdict::Breaking));
}

#[test]
fn a_message_keeps_its_sign_and_its_type() {
    let tag = ("const: ring", "const: dong");
    assert_eq!(verdict(&[("schemas/Ring.yaml", &[tag])]), Verdict::Breaking);
    let sign = ("x-recognised-by: notice", "x-recognised-by: words");
    let renamed = [("required: [notice]", "required: [words]"), ("  notice:", "  words:")];
    let found = changes(&[(COUNTER, &[sign]), ("schemas/Notice.yaml", &renamed)]);
    assert!(
        found
            .iter()
            .any(|change| change.message == "was told by the property `notice` and is told by the property `words`")
    );
}

#[test]
fn limits_of_sockets_may_be_raised_but_not_lowered() {
    for (from, lower, higher) in [
        ("max_message_bytes: 4096", "max_message_bytes: 4095", "max_message_bytes: 4097"),
        ("messages_per_second: 10", "messages_per_second: 9", "messages_per_second: 11"),
        ("faults_in_a_row: 3", "faults_in_a_row: 2", "faults_in_a_row: 4"),
        ("subscriptions: 5", "subscriptions: 4", "subscriptions: 6"),
        ("queue_events: 16", "queue_events: 15", "queue_events: 17"),
        ("queue_bytes: 65536", "queue_bytes: 65535", "queue_bytes: 65537"),
        ("silence_seconds: 25", "silence_seconds: 24", "silence_seconds: 26"),
        // A sign of life that comes less often is the worse one.
        ("heartbeat_seconds: 10", "heartbeat_seconds: 11", "heartbeat_seconds: 9"),
    ] {
        assert_eq!(verdict(&[(COUNTER, &[(from, lower)])]), Verdict::Breaking, "{lower}");
        assert_eq!(verdict(&[(COUNTER, &[(from, higher)])]), Verdict::Compatible, "{higher}");
    }
}

#[test]
fn sockets_keep_their_addresses_parameters_credentials_and_close_codes() {
    assert_eq!(verdict(&[(COUNTER, &[("address: /books/counter", "address: /counter")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(COUNTER, &[("required: [order]", "required: [order, card]")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(COUNTER, &[("{ card: [], desk: [] }, ", "")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(COUNTER, &[("x-faults: [busy, ", "x-faults: [")])]), Verdict::Compatible);
    assert_eq!(verdict(&[(COUNTER, &[("title: The counter", "title: A counter")])]), Verdict::Documentation);
    assert_eq!(verdict(&[(CLOSE_CODES, &[("reconnect: resume", "reconnect: fresh")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(CLOSE_CODES, &[("code: 4000", "code: 4001")])]), Verdict::Breaking);
    assert_eq!(verdict(&[(CLOSE_CODES, &[("action: Come in again.", "action: Be quiet.")])]), Verdict::Documentation);
}

#[test]
fn sockets_may_be_added_but_not_removed() {
    let good = specs::compile(specs::good()).protocol.expect("the good spec is sound");
    let mut without = good.clone();
    without.sockets.pop();
    without.close_codes.pop();
    let texts = |old, new| -> Vec<(Verdict, String)> {
        let found = diff::compare(old, new).into_iter();
        found.map(|change| (change.verdict, format!("{}: {}", change.subject, change.message))).collect()
    };
    let lines = |verdict, word: &str| {
        [(verdict, format!("close code too_loud: was {word}")), (verdict, format!("socket bell: was {word}"))]
    };
    assert_eq!(texts(&good, &without), lines(Verdict::Breaking, "removed"));
    assert_eq!(texts(&without, &good), lines(Verdict::Compatible, "added"));
}

#[test]
fn a_long_change_reads_well() {
    let found = changes(&[
        (SOCKETS, &[("version: 1.2.0", "version: 2.0.0")]),
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
        (
            COUNTER,
            &[
                ("address: /books/counter", "address: /counter"),
                ("readerName: { type: string,", "readerName: { type: integer,"),
                ("    torn: {", "    ripped: {"),
                ("messages/torn", "messages/ripped"),
                ("gaps: [torn]", "gaps: [ripped]"),
                ("x-faults: [busy, unavailable]", "x-faults: [internal, unavailable]"),
                ("x-close-codes: [closed, restart, too_loud]", "x-close-codes: [closed, too_loud]"),
                ("heartbeat_seconds: 10", "heartbeat_seconds: 5"),
                ("queue_events: 16", "queue_events: 8"),
            ],
        ),
        ("asyncapi/channels/bell.yaml", &[("x-close-codes: [closed]", "x-close-codes: [closed, restart]")]),
        (CLOSE_CODES, &[("reconnect: fresh", "reconnect: never")]),
        ("schemas/Content.yaml", &[("    prose: \"Prose.yaml\"", "    text: \"Prose.yaml\"")]),
        ("schemas/Prose.yaml", &[("const: prose", "const: text"), ("type: integer, minimum: 0", "type: string")]),
        ("schemas/Name.yaml", &[("maxLength: 100", "maxLength: 200")]),
        ("errors.yaml", &[("status: 413", "status: 400"), ("message: The desk is busy.", "message: Busy.")]),
    ]);
    snapshot::check(&snapshot::folder().join("difference.txt"), &diff::render(&found));
}

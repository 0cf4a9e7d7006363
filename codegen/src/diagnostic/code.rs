//! The registry of diagnostic codes. A code is never reused for another meaning, because people search for it.
//!
//! `README.md` shows this table; a test compares the two.

use serde::{Serialize, Serializer};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is generated.
    Error,
    /// Shown, and that is all.
    Warning,
}

macro_rules! codes {
    ($($variant:ident $number:literal $severity:ident $meaning:literal)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number that is shown and searched for.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("FD", $number),)*
                }
            }

            /// What the code means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }

            /// Whether it stops the run.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    Unreadable "0001" Error "a file is missing, too large, not UTF-8, or a symbolic link"
    YamlSyntax "0002" Error "a file is not YAML"
    DuplicateKey "0003" Error "a key occurs twice in one mapping"
    YamlFeature "0004" Error "an anchor, alias, tag, second document or structured key, none of which the profile needs"
    TooDeep "0005" Error "a file is nested deeper than any spec needs to be"
    StrayFile "0006" Error "a file is where nothing reads it"
    ReferenceForm "0007" Error "a reference is not written in the one form that its place takes"
    ReferenceEscape "0008" Error "a reference leaves the spec's folder"
    ReferenceToNothing "0009" Error "a reference names a file or an entry that does not exist"

    UnknownKeyword "0101" Error "a keyword that the profile does not know in this place"
    MissingKeyword "0102" Error "a keyword that this place cannot do without"
    WrongKind "0103" Error "a value of the wrong kind, such as a list where a text belongs"
    WrongValue "0104" Error "a value of the right kind that is not one of those allowed"
    MissingDescription "0105" Error "a description is missing or empty"

    RefusedKeyword "0201" Error "a JSON Schema keyword that the profile leaves out on purpose"
    InlineObject "0202" Error "an object or union is written inside another type"
    InlineEnum "0203" Error "an enum is written inside another type"
    BareInt64 "0204" Error "an integer with `format: int64`, which JavaScript would round"
    UnknownType "0205" Error "a type or format that the profile does not know"
    NullableForm "0206" Error "null is admitted in another way than the profile's, or where it may not be"
    LimitMisplaced "0207" Error "a limit does not fit the type beside it"
    LimitRange "0208" Error "a limit is out of range, or contradicts another"
    PatternInvalid "0209" Error "a pattern is not a regular expression that every target has"
    RequiredUnknown "0210" Error "`required` names a property that does not exist, or names one twice"
    EnumValues "0211" Error "an enum is empty, has a value twice, or describes a value that it does not have"
    UnionForm "0212" Error "a union is not `oneOf` references with a discriminator"
    UnionMapping "0213" Error "a discriminator's mapping and the variants do not agree"
    UnionVariant "0214" Error "a variant is not an object with the discriminator as a required constant of its own"
    StrayConstant "0215" Error "a constant that discriminates neither a union's variants nor a socket's messages"
    VariantAlone "0216" Error "a variant or message is used without its union or socket, and would lose its discriminator"
    EndlessType "0217" Error "a type contains itself in a way that no finite value satisfies"
    AliasCycle "0218" Error "an alias contains itself"
    UnusedType "0219" Error "no operation or socket reaches a type"
    NestedContainer "0220" Error "the items of a list or map are neither a plain scalar nor a reference"
    SecretForm "0221" Error "`x-secret` on a property or parameter that is not a plain string"

    RouteMissing "0301" Error "no route refers to a path item, or two do"
    PathForm "0302" Error "a path is not written as the profile wants it"
    PathClash "0303" Error "two paths match the same requests"
    PathParameters "0304" Error "the parameters of a path and of its operation differ"
    OperationIdForm "0305" Error "an operationId is not camelCase with a verb first"
    OperationIdTwice "0306" Error "two operations have the same operationId"
    OperationTag "0307" Error "an operation's tag is not its surface, or it has several"
    SurfaceTag "0308" Error "the tags in openapi.yaml and the files in openapi/paths differ"
    ParameterType "0309" Error "a parameter of a type that a URL or header cannot carry the same way everywhere"
    ParameterName "0310" Error "a parameter occurs twice, or has a name that HTTP or the profile owns"
    DefaultValue "0311" Error "a default is not a value of its parameter, or the parameter is required"
    BodyForm "0312" Error "a body that is not a required JSON reference, or is on a method that takes none"
    SuccessStatus "0313" Error "a response that is not a success the profile knows"
    ResponseContent "0314" Error "the content of a response is not JSON by reference, plain text or nothing"
    SecurityScheme "0315" Error "a security scheme that is unknown, or of a kind that the profile leaves out"
    IdempotencyForm "0316" Error "`x-idempotent` on another method than POST, or missing on one that creates"
    PaginationName "0317" Error "`x-pagination` names a property or parameter that does not exist"
    PaginationType "0318" Error "`x-pagination` names something of the wrong type"
    ExampleMissing "0319" Error "an operation or socket has no example"
    ExampleStray "0320" Error "an example belongs to no operation, socket or code"
    SchemeUnused "0321" Warning "no operation or socket uses a security scheme"
    RepeatableForm "0322" Error "`x-repeatable` on another method than POST or PATCH, or beside `x-idempotent`"
    LongPollForm "0323" Error "`x-long-poll` on another method than GET, or without one JSON answer"

    ErrorUnknown "0401" Error "an error code that the catalogue does not have"
    ErrorImplied "0402" Error "`x-errors` repeats a code that the operation's shape implies"
    ErrorTwice "0403" Error "`x-errors` or `x-faults` names a code twice"
    ErrorUnused "0404" Error "no operation or socket answers with a code of the catalogue"
    ErrorStatus "0405" Error "the status of a code is not an error status"
    ErrorImpliedBy "0406" Error "`implied_by` names no rule that exists"
    ErrorBodyMissing "0407" Error "there is no schemas/Error.yaml, the body of every refusal"

    NameForm "0501" Error "a name is not written the way its kind is"
    NameClash "0502" Error "two names become the same identifier"
    NameUnusable "0503" Error "a name that no target can make an identifier of"
    NeedlessInheritance "0504" Warning "`x-inherited-names` where every name obeys the rule anyway"

    SocketMap "0601" Error "asyncapi.yaml and the files in asyncapi/channels do not agree"
    SocketAddress "0602" Error "a socket's address is not a plain path, or is taken"
    MessageForm "0603" Error "a message is not an object with the discriminator as a required constant of its own, nor one without it that `x-recognised-by` tells"
    MessageRecognition "0604" Error "`x-recognised-by` names no required property of its message"
    MessageClash "0605" Error "two messages of one direction cannot be told apart"
    MessageSides "0606" Error "a message that nobody says, or that a direction names twice or without there being one"
    CloseCodeRange "0607" Error "a close code has a number that a server may not send"
    CloseCodeTwice "0608" Error "two close codes have the same number"
    CloseCodeUnknown "0609" Error "`x-close-codes` names a close code that the table does not have"
    CloseCodeOrder "0610" Error "`x-close-codes` is not in the table's order, or names a close code twice"
    CloseCodeUnused "0611" Error "no socket ends with a close code"
    SocketLimit "0612" Error "a limit of a socket is out of range, or contradicts another"
    ResumeName "0613" Error "`x-resume` names a message or property that does not exist, or names one twice"
    ResumeType "0614" Error "`x-resume` names a property of the wrong type"
    RawMessage "0615" Error "a message without the discriminator in a direction with raw data"
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

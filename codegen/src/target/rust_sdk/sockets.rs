//! The sockets: how they are opened, and for each its messages, its parameters and what the runtime asks about them.

use anyhow::{Context, Result};
use serde::Serialize;

use super::parameters::{self, ParametersItem};
use super::resume::{self, Arm, ResumeItem};
use super::{DIALECT, ROOT};
use crate::ir::{Field, Message, Protocol, Raw, Shape, Socket, SocketLimits, Type};
use crate::target::OutputFile;
use crate::target::rust::operation::security;
use crate::target::rust::socket::{self, CloseCodeItem, MessageItem, RawItem, prefix, route};
use crate::target::rust::template::{Templates, module_docs};
use crate::target::rust::types::{From, TypeWriter, definition, resolved};
use crate::target::rust::{documentation, identifier, imports, literal};
use crate::target::scope::Scope;

/// Variants besides those of the spec.
const TAKEN: &[&str] = &["Unknown"];

#[derive(Serialize)]
struct SocketsModule {
    sockets: Vec<SocketEntry>,
}

#[derive(Serialize)]
struct SocketEntry {
    module: String,
    accessor: String,
    prefix: String,
    docs: Vec<String>,
    has_parameters: bool,
}

#[derive(Serialize)]
struct CloseCodes {
    codes: Vec<CloseCodeItem>,
}

#[derive(Serialize)]
struct SocketFile {
    docs: Vec<String>,
    imports: Vec<String>,
    /// As the spec calls it.
    name: String,
    accessor: String,
    /// What its types begin with.
    prefix: String,
    info: InfoItem,
    /// A literal.
    discriminator: String,
    client_messages: Vec<MessageItem>,
    /// Those whose type is that of no other message.
    convertible: Vec<usize>,
    server_messages: Vec<MessageItem>,
    /// By which messages without a tag are recognised.
    recognised_by: Vec<RecognisedItem>,
    parameters: Option<ParametersItem>,
    /// Of the parameters: pairs that are always there, and the expressions of the others.
    pairs: Vec<String>,
    further_pairs: Vec<String>,
    /// The message that shows a token, as an expression.
    authenticate: Option<String>,
    raw: RawItem,
    resume: ResumeItem,
}

/// Literals for a `SocketInfo`.
#[derive(Serialize)]
struct InfoItem {
    name: String,
    address: String,
    security: Vec<Vec<String>>,
    limits: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct RecognisedItem {
    field: String,
    /// A literal.
    property: String,
}

pub(super) fn emit(protocol: &Protocol, templates: &Templates) -> Result<Vec<OutputFile>> {
    let mut scope = Scope::new("the sockets and the module `close_code`");
    scope.claim("close_code".to_owned(), "close_code")?;
    let codes = socket::close_codes(protocol)?;
    let contents = templates.render("close_code", "asyncapi/close-codes.yaml", CloseCodes { codes })?;
    let mut files = vec![OutputFile::new(format!("{ROOT}/sockets/close_code.rs"), contents)];
    let mut sockets = Vec::new();
    for each in &protocol.sockets {
        let module = scope.claim(identifier::module(&each.name)?, &each.name)?;
        let file =
            file(protocol, each).with_context(|| format!("in the socket {} of spec/{}", each.name, each.source))?;
        let contents = templates.render("socket", &each.source, file)?;
        files.push(OutputFile::new(format!("{ROOT}/sockets/{}.rs", identifier::file_stem(&module)), contents));
        let title = format!("{}.", each.title.trim_end_matches('.'));
        sockets.push(SocketEntry {
            module,
            accessor: identifier::value(&each.name)?,
            prefix: prefix(each)?,
            docs: documentation::paragraphs([title.as_str(), &each.description, &route(each)]),
            has_parameters: !each.parameters.is_empty(),
        });
    }
    let contents = templates.render("sockets", "asyncapi/asyncapi.yaml", SocketsModule { sockets })?;
    files.push(OutputFile::new(format!("{ROOT}/sockets/mod.rs"), contents));
    Ok(files)
}

/// The variant of a message.
pub(super) fn variant(message: &Message) -> Result<String> {
    identifier::variant(&message.name, TAKEN)
}

fn file(protocol: &Protocol, each: &Socket) -> Result<SocketFile> {
    let mut writer = TypeWriter::new(&DIALECT, From::Surface);
    let prefix = prefix(each)?;
    let client_messages = socket::messages(protocol, each, &each.client_messages, TAKEN, &mut writer)?;
    let server_messages = socket::messages(protocol, each, &each.server_messages, TAKEN, &mut writer)?;
    let is_only = |index: &usize| {
        let of_type = client_messages.iter().filter(|message| message.ty == client_messages[*index].ty);
        of_type.count() == 1
    };
    let convertible = (0..client_messages.len()).filter(is_only).collect();
    let (parameters, pairs, further_pairs) = parameters(protocol, each, &prefix, &mut writer)?;
    let resume = each.resume.as_ref().map(|resume| resume::of(protocol, each, resume)).transpose()?;
    let mut resume = resume.unwrap_or_default();
    let shown = credentials(protocol, each, &prefix, &mut writer)?;
    resume.add_intents(shown.intents);
    for name in [
        "DecodeError",
        "Intent",
        "Position",
        "Progress",
        "SocketInfo",
        "SocketLimits",
        "SocketProtocol",
        "UnknownMessage",
        "decode_json",
    ] {
        writer.imported(&format!("crate::runtime::{name}"));
    }
    writer.imports.extend(
        ["std::time::Duration", "serde::Deserialize", "serde::Serialize", "crate::generated::sockets::CloseCode"]
            .map(str::to_owned),
    );
    if !each.security.is_empty() {
        writer.imported("crate::runtime::Security");
    }
    if resume.everything {
        writer.imported("crate::runtime::WithoutPosition");
    }
    let recognised_by = recognised_by(each)?;
    if !recognised_by.is_empty() {
        writer.imported("serde::de::IgnoredAny");
    }
    if each.raw != Raw::default() {
        writer.imports.insert("bytes::Bytes".to_owned());
    }
    if each.raw.server.is_some() {
        writer.imports.extend(["serde::de::IgnoredAny", "std::collections::BTreeMap"].map(str::to_owned));
    }
    let first = format!("{}.", each.title.trim_end_matches('.'));
    Ok(SocketFile {
        docs: module_docs(&first, &each.description),
        imports: imports::lines(&writer.imports),
        name: each.name.clone(),
        accessor: identifier::value(&each.name)?,
        info: InfoItem {
            name: literal::string(&each.name),
            address: literal::string(&each.address),
            security: security(&each.security),
            limits: limits(&each.limits)?,
        },
        discriminator: literal::string(&each.discriminator),
        client_messages,
        convertible,
        server_messages,
        recognised_by,
        parameters,
        pairs,
        further_pairs,
        authenticate: shown.message,
        raw: RawItem::of(each),
        resume,
        prefix,
    })
}

/// In the order of the messages without a tag.
fn recognised_by(each: &Socket) -> Result<Vec<RecognisedItem>> {
    let mut scope = Scope::new(format!("the properties by which messages of {} are recognised", each.name));
    let tagless = each.server_messages.iter().filter(|message| message.tag.is_none());
    tagless
        .filter_map(|message| message.recognised_by.as_ref())
        .map(|property| {
            let field = format!("has_{}", identifier::unraw(&identifier::value(property)?));
            Ok(RecognisedItem { field: scope.claim(field, property)?, property: literal::string(property) })
        })
        .collect()
}

fn limits(limits: &SocketLimits) -> Result<Vec<(&'static str, String)>> {
    let seconds = |seconds| anyhow::Ok(format!("Duration::from_secs({})", socket::limit(seconds)?));
    Ok(vec![
        ("max_message_bytes", socket::limit(limits.max_message_bytes)?),
        ("subscriptions", socket::limit(limits.subscriptions)?),
        ("heartbeat", seconds(limits.heartbeat_seconds)?),
        ("silence", seconds(limits.silence_seconds)?),
    ])
}

/// The struct, the pairs of the query that are always there, and the expressions of the others.
fn parameters(
    protocol: &Protocol,
    each: &Socket,
    prefix: &str,
    writer: &mut TypeWriter<'_>,
) -> Result<(Option<ParametersItem>, Vec<String>, Vec<String>)> {
    let mut scope = Scope::new(format!("the parameters of {}", each.name));
    let (mut item, mut pairs, mut further) =
        (ParametersItem::new(format!("{prefix}Parameters")), Vec::new(), Vec::new());
    for socket_parameter in &each.parameters {
        let parameter = &socket_parameter.parameter;
        let name = scope.claim(identifier::value(&parameter.name)?, &parameter.name)?;
        let (mut field, _) = parameters::field(protocol, parameter, name.clone(), writer)?;
        if socket_parameter.secret {
            field.secret = true;
            field.docs.extend([String::new(), documentation::SECRET.to_owned()]);
        }
        let wire_name = literal::string(&parameter.name);
        let is_list = matches!(resolved(protocol, &parameter.ty, &parameter.limits)?.0, Type::List { .. });
        if parameter.required && !is_list {
            pairs.push(format!("({wire_name}, self.{name}.to_parameter())"));
        } else {
            further.push(format!("self.{name}.iter().map(|value| ({wire_name}, value.to_parameter()))"));
        }
        item.add(field, parameter.required);
    }
    if each.parameters.is_empty() {
        return Ok((None, pairs, further));
    }
    writer.imported("crate::runtime::ToParameter");
    Ok((Some(item), pairs, further))
}

/// The messages that show a credential: those with a secret.
#[derive(Default)]
struct Credentials {
    intents: Vec<Arm>,
    message: Option<String>,
}

fn credentials(protocol: &Protocol, each: &Socket, prefix: &str, writer: &mut TypeWriter<'_>) -> Result<Credentials> {
    let mut found = Credentials::default();
    for message in &each.client_messages {
        let Shape::Object { fields } = &definition(protocol, &message.ty)?.shape else {
            continue;
        };
        let Some(secret) = fields.iter().find(|field| field.secret) else {
            continue;
        };
        let variant = variant(message)?;
        found.intents.push(Arm::blind(&variant, "Intent::Authenticate"));
        if let Some(shown) = shown(secret, fields, &writer.named(&message.ty)?)? {
            let expression = format!("{prefix}ClientMessage::{variant}({shown})");
            found.message.get_or_insert(expression);
        }
    }
    if found.message.is_some() {
        writer.imported("crate::runtime::Secret");
    }
    Ok(found)
}

/// The expression of a `ty` that holds a token and nothing else, if it needs nothing else.
fn shown(secret: &Field, fields: &[Field], ty: &str) -> Result<Option<String>> {
    let others_needed = fields.iter().any(|field| field.required && field.name != secret.name);
    let name = identifier::value(&secret.name)?;
    let setter = format!("with_{}", identifier::unraw(&name));
    Ok(match (others_needed, secret.required, secret.nullable) {
        (true, ..) | (_, true, true) => None,
        (_, true, false) => Some(format!("{ty}::new(token.expose())")),
        (_, false, false) => Some(format!("{ty}::default().{setter}(token.expose())")),
        (_, false, true) => Some(format!("{ty}::default().{setter}(token.expose().to_owned())")),
    })
}

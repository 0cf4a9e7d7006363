//! The sockets: the module of all, and for each its handler traits, its unions of messages and what connects them.

use anyhow::{Context, Result};
use serde::Serialize;

use super::errors;
use super::limits::{Checks, PatternItem, Patterns};
use super::parameters::{checks, default};
use super::{DIALECT, ROOT};
use crate::ir::{Protocol, Socket, SocketLimits, SocketParameter, Type};
use crate::target::OutputFile;
use crate::target::rust::operation::security;
use crate::target::rust::socket::{self, CloseCodeItem, MessageItem, RawItem, prefix, route};
use crate::target::rust::template::{Templates, module_docs};
use crate::target::rust::types::{From, TypeWriter, resolved};
use crate::target::rust::{documentation, identifier, imports, literal};
use crate::target::scope::Scope;

/// Methods that a session has besides those of its messages.
const SESSION_METHODS: &[&str] = &["opened", "faulty", "pending", "alive", "heartbeat", "closed"];

/// The one that takes raw data, where clients send any.
const RAW_METHOD: &str = "raw";

#[derive(Serialize)]
struct SocketsModule {
    sockets: Vec<SocketEntry>,
}

#[derive(Serialize)]
struct SocketEntry {
    module: String,
    constant: String,
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
    /// What its types begin with.
    prefix: String,
    constant: String,
    route: String,
    info: InfoItem,
    parameters: Option<ParametersItem>,
    patterns: Vec<PatternItem>,
    /// A literal.
    discriminator: String,
    relaxed: bool,
    raw: RawItem,
    client_messages: Vec<ClientMessageItem>,
    server_messages: Vec<MessageItem>,
}

/// Literals for a `SocketInfo`.
#[derive(Serialize)]
struct InfoItem {
    name: String,
    address: String,
    security: Vec<Vec<String>>,
    errors: Vec<String>,
    faults: Vec<String>,
    close_codes: Vec<String>,
    client_messages: Vec<String>,
    server_messages: Vec<String>,
    limits: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct ClientMessageItem {
    #[serde(flatten)]
    message: MessageItem,
    /// The session's method.
    method: String,
}

#[derive(Serialize)]
struct ParametersItem {
    name: String,
    fields: Vec<ParameterItem>,
    has_secret: bool,
    /// Statements.
    checks: Vec<String>,
}

#[derive(Serialize)]
struct ParameterItem {
    docs: Vec<String>,
    name: String,
    /// Without `r#`.
    bare_name: String,
    ty: String,
    /// An expression.
    value: String,
    /// Never shown.
    secret: bool,
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
        let constant = identifier::constant(&each.name)?;
        let file = file(protocol, each, constant.clone())
            .with_context(|| format!("in the socket {} of spec/{}", each.name, each.source))?;
        let contents = templates.render("socket", &each.source, file)?;
        files.push(OutputFile::new(format!("{ROOT}/sockets/{}.rs", identifier::file_stem(&module)), contents));
        sockets.push(SocketEntry { module, constant });
    }
    let contents = templates.render("sockets", "asyncapi/asyncapi.yaml", SocketsModule { sockets })?;
    files.push(OutputFile::new(format!("{ROOT}/sockets/mod.rs"), contents));
    Ok(files)
}

fn file(protocol: &Protocol, each: &Socket, constant: String) -> Result<SocketFile> {
    let mut writer = TypeWriter::new(&DIALECT, From::Surface);
    let prefix = prefix(each)?;
    let client_messages = client_messages(protocol, each, &mut writer)?;
    let server_messages = socket::messages(protocol, each, &each.server_messages, &[], &mut writer)?;
    let mut patterns = Patterns::default();
    let parameters = parameters(protocol, each, &prefix, &mut patterns, &mut writer)?;
    writer.imports.extend(["std::sync::Arc", "std::time::Duration", "serde::Serialize"].map(str::to_owned));
    writer.imports.extend(["errors::ErrorCode", "sockets::CloseCode"].map(|name| format!("crate::generated::{name}")));
    for name in [
        "ApiError",
        "Context",
        "Fault",
        "Incoming",
        "Outbox",
        "ServerMessage",
        "Socket",
        "SocketInfo",
        "SocketLimits",
        "SocketSession",
        "Taken",
    ] {
        writer.imported(&format!("crate::support::{name}"));
    }
    if each.raw.client.is_some() {
        writer.imports.insert("bytes::Bytes".to_owned());
    }
    if each.raw.server.is_some() {
        writer.imported("crate::support::SendsRaw");
    }
    let first = format!("{}.", each.title.trim_end_matches('.'));
    Ok(SocketFile {
        docs: module_docs(&first, &each.description),
        imports: imports::lines(&writer.imports),
        name: each.name.clone(),
        constant,
        route: route(each),
        info: info(each)?,
        parameters,
        patterns: patterns.into_items(),
        discriminator: literal::string(&each.discriminator),
        relaxed: each.relaxed,
        raw: RawItem::of(each),
        client_messages,
        server_messages,
        prefix,
    })
}

fn client_messages(protocol: &Protocol, each: &Socket, writer: &mut TypeWriter<'_>) -> Result<Vec<ClientMessageItem>> {
    let mut methods = Scope::new(format!("the methods of a session of {}", each.name));
    let own: Vec<&str> = SESSION_METHODS.iter().copied().chain(each.raw.client.as_ref().map(|_| RAW_METHOD)).collect();
    for method in &own {
        methods.claim((*method).to_owned(), method)?;
    }
    let items = socket::messages(protocol, each, &each.client_messages, &[], writer)?;
    items
        .into_iter()
        .zip(socket::ordered(&each.client_messages))
        .map(|(message, of)| {
            let method = identifier::value(&of.name)?;
            let is_taken = own.contains(&method.as_str());
            let method = if is_taken { format!("{method}_message") } else { method };
            Ok(ClientMessageItem { message, method: methods.claim(method, &of.name)? })
        })
        .collect()
}

fn info(each: &Socket) -> Result<InfoItem> {
    let codes = |codes: &[String]| codes.iter().map(|code| errors::variant(code)).collect::<Result<Vec<_>>>();
    let names =
        |messages: &[crate::ir::Message]| messages.iter().map(|message| literal::string(&message.name)).collect();
    Ok(InfoItem {
        name: literal::string(&each.name),
        address: literal::string(&each.address),
        security: security(&each.security),
        errors: codes(&each.errors)?,
        faults: codes(&each.faults)?,
        close_codes: each.close_codes.iter().map(|name| socket::close_code(name)).collect::<Result<_>>()?,
        client_messages: names(&each.client_messages),
        server_messages: names(&each.server_messages),
        limits: limits(&each.limits)?,
    })
}

fn limits(limits: &SocketLimits) -> Result<Vec<(&'static str, String)>> {
    let seconds = |seconds| anyhow::Ok(format!("Duration::from_secs({})", socket::limit(seconds)?));
    Ok(vec![
        ("max_message_bytes", socket::limit(limits.max_message_bytes)?),
        ("messages_per_second", socket::limit(limits.messages_per_second)?),
        ("faults_in_a_row", socket::limit(limits.faults_in_a_row)?),
        ("subscriptions", socket::limit(limits.subscriptions)?),
        ("queue_events", socket::limit(limits.queue_events)?),
        ("queue_bytes", socket::limit(limits.queue_bytes)?),
        ("heartbeat", seconds(limits.heartbeat_seconds)?),
        ("silence", seconds(limits.silence_seconds)?),
    ])
}

fn parameters(
    protocol: &Protocol,
    each: &Socket,
    prefix: &str,
    patterns: &mut Patterns,
    writer: &mut TypeWriter<'_>,
) -> Result<Option<ParametersItem>> {
    if each.parameters.is_empty() {
        return Ok(None);
    }
    writer.imported("crate::support::QueryParameters");
    let mut scope = Scope::new(format!("the parameters of {}", each.name));
    let (mut fields, mut statements) = (Vec::new(), Vec::new());
    for parameter in &each.parameters {
        let name = scope.claim(identifier::value(&parameter.parameter.name)?, &parameter.parameter.name)?;
        let (field, checks) = self::parameter(protocol, parameter, name, patterns, writer)?;
        fields.push(field);
        statements.extend(checks);
    }
    if !patterns.is_empty() {
        writer.imported("crate::support::Pattern");
    }
    if !statements.is_empty() {
        writer.imports.extend(["Location", "Problems"].map(|name| format!("crate::support::{name}")));
    }
    let has_secret = fields.iter().any(|field| field.secret);
    Ok(Some(ParametersItem { name: format!("{prefix}Parameters"), fields, has_secret, checks: statements }))
}

/// The field, and the statements that check it.
fn parameter(
    protocol: &Protocol,
    SocketParameter { parameter, secret }: &SocketParameter,
    name: String,
    patterns: &mut Patterns,
    writer: &mut TypeWriter<'_>,
) -> Result<(ParameterItem, Vec<String>)> {
    let base = writer.write(&parameter.ty)?;
    let is_list = matches!(resolved(protocol, &parameter.ty, &parameter.limits)?.0, Type::List { .. });
    let default = default(protocol, parameter, &base)?;
    let wire_name = literal::string(&parameter.name);
    let optional = !parameter.required && default.is_none();
    let (ty, value) = match (&default, parameter.required, is_list) {
        (Some(default), ..) => {
            let given = format!("query.get::<Option<{base}>>({wire_name})?");
            let is_made = default.ends_with(')');
            let or = if is_made { format!("unwrap_or_else(|| {default})") } else { format!("unwrap_or({default})") };
            (base, format!("{given}.{or}"))
        }
        (None, true, _) => (base, format!("query.get({wire_name})?")),
        (None, false, true) => (base.clone(), format!("query.get::<Option<{base}>>({wire_name})?.unwrap_or_default()")),
        (None, false, false) => (format!("Option<{base}>"), format!("query.get({wire_name})?")),
    };
    let mut lines = Checks { protocol, patterns, place: identifier::constant(&parameter.name)? };
    let source = format!("parameters.{name}");
    let checks = checks(&mut lines, parameter, &source, optional && !is_list, is_list)?;
    let shown = if *secret { documentation::SECRET } else { "" };
    let item = ParameterItem {
        docs: documentation::paragraphs([parameter.description.as_str(), shown]),
        bare_name: identifier::unraw(&name).to_owned(),
        name,
        ty,
        value,
        secret: *secret,
    };
    Ok((item, checks))
}

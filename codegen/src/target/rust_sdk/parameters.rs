//! The query and header parameters of one operation, or those of a socket: a struct, and how each of its fields gets into
//! a request.

use anyhow::Result;
use serde::Serialize;

use super::types::{FieldItem, Given};
use crate::ir::{Operation, Parameter, Place, Protocol, Type};
use crate::target::rust::operation::{other_parameters, type_named_after};
use crate::target::rust::types::{TypeWriter, resolved};
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

/// Parameters, as one struct.
#[derive(Serialize)]
pub(super) struct ParametersItem {
    pub(super) name: String,
    pub(super) fields: Vec<FieldItem>,
    pub(super) has_default: bool,
    pub(super) has_secret: bool,
    pub(super) required: Vec<FieldItem>,
    pub(super) optional: Vec<FieldItem>,
}

impl ParametersItem {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            fields: Vec::new(),
            has_default: true,
            has_secret: false,
            required: Vec::new(),
            optional: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, field: FieldItem, required: bool) {
        self.has_default &= !required;
        self.has_secret |= field.secret;
        if required {
            self.required.push(field.clone());
        } else {
            self.optional.push(field.clone());
        }
        self.fields.push(field);
    }
}

/// The struct, and the calls that fill the request in.
pub(super) fn of(
    protocol: &Protocol,
    operation: &Operation,
    scope: &mut Scope,
    writer: &mut TypeWriter<'_>,
) -> Result<(Option<ParametersItem>, Vec<String>)> {
    let (mut item, mut fillings) = (ParametersItem::new(type_named_after(operation, "Parameters")?), Vec::new());
    for parameter in other_parameters(operation) {
        let name = scope.claim(identifier::value(&parameter.name)?, &parameter.name)?;
        let (field, filling) = field(protocol, parameter, name, writer)?;
        fillings.push(filling);
        item.add(field, parameter.required);
    }
    Ok(((!item.fields.is_empty()).then_some(item), fillings))
}

/// The field, and the call that fills it in.
pub(super) fn field(
    protocol: &Protocol,
    parameter: &Parameter,
    name: String,
    writer: &mut TypeWriter<'_>,
) -> Result<(FieldItem, String)> {
    let bare = writer.write(&parameter.ty)?;
    let (resolved_type, _) = resolved(protocol, &parameter.ty, &parameter.limits)?;
    let is_list = matches!(resolved_type, Type::List { .. });
    let wire_name = literal::string(&parameter.name);
    let given = Given::of(&parameter.ty, &bare, false, &name);
    let (ty, stored) = if parameter.required || is_list {
        (bare.clone(), given.stored)
    } else {
        (format!("Option<{bare}>"), format!("Some({})", given.stored))
    };
    let filling = match (parameter.place, parameter.required && !is_list) {
        (Place::Header, true) => format!("header({wire_name}, &parameters.{name})"),
        (Place::Header, false) => format!("header_option({wire_name}, parameters.{name}.as_ref())"),
        (_, true) => format!("query({wire_name}, &parameters.{name})"),
        (_, false) => format!("query_option({wire_name}, &parameters.{name})"),
    };
    let deprecated = if parameter.deprecated { "Deprecated." } else { "" };
    let default = parameter
        .default
        .as_ref()
        .map(|default| format!("The server's default: `{}`.", default.to_string().replace('`', "")));
    let docs =
        documentation::paragraphs([parameter.description.as_str(), default.as_deref().unwrap_or_default(), deprecated]);
    let item = FieldItem {
        docs,
        attributes: Vec::new(),
        bare_name: identifier::unraw(&name).to_owned(),
        name,
        ty,
        argument: given.argument,
        stored,
        secret: false,
    };
    Ok((item, filling))
}

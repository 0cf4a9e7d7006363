//! Parameters: types that a URL or a header carries the same way everywhere, names that are free, defaults that fit.

use crate::diagnostic::{Code, Problems};
use crate::document::limits::MAX_SAFE_INTEGER;
use crate::document::{Documents, ParameterDocument, SchemaShape};
use crate::ir::{Limits, Place, Type};
use crate::source::Located;

/// Headers that HTTP or the profile fills in itself.
const OWNED_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "idempotency-key",
    "retry-after",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    for parameters in documents.parameter_lists() {
        names(parameters, problems);
        for parameter in parameters {
            kind(documents, parameter, problems);
            default(documents, parameter, problems);
        }
    }
}

fn names(parameters: &[ParameterDocument], problems: &mut Problems) {
    for (index, parameter) in parameters.iter().enumerate() {
        let same = |other: &&ParameterDocument| {
            other.place == parameter.place && other.name.value.eq_ignore_ascii_case(&parameter.name.value)
        };
        if let Some(first) = parameters[..index].iter().find(same) {
            problems.report_with(
                Code::ParameterName,
                parameter.name.at,
                format!("`{}` is a parameter twice", parameter.name),
                "keep one of them",
                vec![(first.name.at, "first here".to_owned())],
            );
        }
        let lower = parameter.name.value.to_ascii_lowercase();
        if parameter.place == Place::Header && OWNED_HEADERS.contains(&lower.as_str()) {
            problems.report(
                Code::ParameterName,
                parameter.name.at,
                format!("the header `{}` is not an operation's to declare", parameter.name),
                "credentials are `security`, keys are `x-idempotent`, and HTTP fills in the rest",
            );
        }
        if parameter.place == Place::Path && parameter.name.value.is_empty() {
            problems.report(Code::ParameterName, parameter.name.at, "a parameter without a name", "name it");
        }
    }
}

fn kind(documents: &Documents, parameter: &ParameterDocument, problems: &mut Problems) {
    let Some(value) = &parameter.value else {
        return;
    };
    let carried = match &value.ty {
        Type::List { item } => parameter.place == Place::Query && is_single(documents, item),
        other => is_single(documents, other),
    };
    if !carried || value.nullable {
        problems.report(
            Code::ParameterType,
            parameter.schema_at,
            format!("`{}` is not of a type that a parameter can have", parameter.name),
            "a parameter is a scalar or an enum; in the query also a list of either; leaving it out takes the place of null",
        );
    }
}

/// A scalar or an enum.
fn is_single(documents: &Documents, ty: &Type) -> bool {
    match ty {
        Type::List { .. } | Type::Map { .. } | Type::JsonObject | Type::Json => false,
        Type::Named { name } => match documents.schemas.get(name).map(|schema| &schema.shape) {
            Some(Some(shape)) => matches!(shape, SchemaShape::Enum { .. }),
            _ => true,
        },
        _ => true,
    }
}

fn default(documents: &Documents, parameter: &ParameterDocument, problems: &mut Problems) {
    let (Some(default), Some(value)) = (&parameter.default, &parameter.value) else {
        return;
    };
    if parameter.required {
        let message = format!("`{}` is required, so its default is never used", parameter.name);
        problems.report(Code::DefaultValue, default.at, message, "drop the default, or `required: true`");
    }
    if !admits(documents, &value.ty, &value.limits, default) {
        problems.report(
            Code::DefaultValue,
            default.at,
            format!("this default is not a value of `{}`", parameter.name),
            "a default is a scalar of the parameter's type, within its limits",
        );
    }
}

fn admits(documents: &Documents, ty: &Type, limits: &Limits, default: &Located<serde_json::Value>) -> bool {
    let value = &default.value;
    match ty {
        Type::Boolean => value.is_boolean(),
        Type::Integer | Type::Unsigned | Type::Int32 => value.as_i64().is_some_and(|number| {
            let natural = match ty {
                Type::Unsigned => 0..=MAX_SAFE_INTEGER,
                Type::Int32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
                _ => -MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER,
            };
            natural.contains(&number)
                && limits.minimum.is_none_or(|minimum| number >= minimum)
                && limits.maximum.is_none_or(|maximum| number <= maximum)
        }),
        Type::Number => value.is_number(),
        Type::String | Type::Uri => value.as_str().is_some_and(|text| {
            let length = text.chars().count() as u64;
            let matches = |pattern: &String| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
            limits.min_length.is_none_or(|minimum| length >= minimum)
                && limits.max_length.is_none_or(|maximum| length <= maximum)
                && limits.pattern.as_ref().is_none_or(matches)
        }),
        Type::Int64Text => value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
        Type::Named { name } => match documents.schemas.get(name).map(|schema| &schema.shape) {
            Some(Some(SchemaShape::Enum { values, .. })) => {
                value.as_str().is_some_and(|text| values.iter().any(|known| known.value == text))
            }
            _ => true,
        },
        // Nobody needs a default id, time or list; each target would have to write it its own way.
        Type::Uuid | Type::DateTime | Type::List { .. } | Type::Map { .. } | Type::JsonObject | Type::Json => false,
    }
}

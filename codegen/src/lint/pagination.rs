//! `x-pagination`: the three names exist, and what they name can be followed from page to page.

use crate::diagnostic::{Code, Problems};
use crate::document::value::ValueDocument;
use crate::document::{Documents, OperationDocument, PaginationDocument, Property, PropertyKind, SchemaShape};
use crate::ir::{Content, Place, Type};
use crate::source::Located;

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    for (_, operation) in documents.operations() {
        if let Some(pagination) = &operation.pagination {
            check_one(documents, operation, pagination, problems);
        }
    }
}

fn check_one(
    documents: &Documents,
    operation: &OperationDocument,
    pagination: &PaginationDocument,
    problems: &mut Problems,
) {
    let answer = match operation.successes.as_slice() {
        // Their faults have been reported.
        [] => return,
        [only] => match &only.content {
            Some(Content::Json { ty }) => documents.schemas.get(ty).and_then(|schema| schema.shape.as_ref()),
            None => return,
            _ => None,
        },
        _ => None,
    };
    let Some(SchemaShape::Object { properties }) = answer else {
        problems.report(
            Code::PaginationType,
            pagination.at,
            "the answer is not one object, so it has no pages",
            "answer with one status and an object that holds the items and the next cursor",
        );
        return;
    };
    if let Some(items) = property(properties, &pagination.items, problems) {
        items_type(documents, pagination, items, problems);
    }
    let next = property(properties, &pagination.next, problems);
    let cursor = cursor(operation, &pagination.cursor, problems);
    let (Some(next), Some(cursor)) = (next, cursor) else {
        return;
    };
    let Some(next_value) = value_of(next) else {
        return;
    };
    if next.required && !next_value.nullable {
        problems.report(
            Code::PaginationType,
            pagination.next.at,
            format!("`{}` is always there, so there is no last page", pagination.next),
            "make it nullable; null says that this was the last page",
        );
    }
    if next_value.ty != cursor.ty || matches!(cursor.ty, Type::List { .. }) {
        problems.report(
            Code::PaginationType,
            pagination.cursor.at,
            format!("`{}` and `{}` are not of the same type", pagination.cursor, pagination.next),
            "the next page is asked for with the very value that this page gave",
        );
    }
}

fn value_of(property: &Property) -> Option<&ValueDocument> {
    match &property.kind {
        Some(PropertyKind::Value(value)) => Some(value),
        _ => None,
    }
}

fn property<'a>(properties: &'a [Property], name: &Located<String>, problems: &mut Problems) -> Option<&'a Property> {
    let found = properties.iter().find(|property| property.name.value == name.value);
    if found.is_none() {
        let near = crate::names::nearest(&name.value, properties.iter().map(|property| property.name.value.as_str()));
        problems.report(
            Code::PaginationName,
            name.at,
            format!("the answer has no property `{name}`"),
            near.map_or_else(|| "name a property of the answer".to_owned(), |near| format!("did you mean `{near}`?")),
        );
    }
    found
}

fn cursor<'a>(
    operation: &'a OperationDocument,
    name: &Located<String>,
    problems: &mut Problems,
) -> Option<&'a ValueDocument> {
    let found = operation
        .parameters
        .iter()
        .find(|parameter| parameter.place == Place::Query && parameter.name.value == name.value);
    let Some(parameter) = found else {
        let message = format!("the operation has no query parameter `{name}`");
        problems.report(Code::PaginationName, name.at, message, "name a query parameter of the operation");
        return None;
    };
    if parameter.required {
        problems.report(
            Code::PaginationType,
            name.at,
            format!("`{name}` is required, so there is no first page"),
            "drop `required: true` from the parameter",
        );
    }
    parameter.value.as_ref()
}

fn items_type(documents: &Documents, pagination: &PaginationDocument, items: &Property, problems: &mut Problems) {
    let Some(value) = value_of(items) else { return };
    let of_type = match &value.ty {
        Type::List { item } => {
            matches!(item.as_ref(), Type::Named { name } if documents.schemas.contains_key(name))
        }
        _ => false,
    };
    if !of_type || !items.required || value.nullable {
        problems.report(
            Code::PaginationType,
            pagination.items.at,
            format!("`{}` is not a required list of a named type", pagination.items),
            "write `type: array` with `items: {$ref: ...}`, and require it",
        );
    }
}

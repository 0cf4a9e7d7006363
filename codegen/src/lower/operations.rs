//! Surfaces and operations.

use indexmap::IndexMap;

use crate::document::catalogue::codes_of;
use crate::document::{
    Documents, OperationDocument, PaginationDocument, ParameterDocument, RequestShape, SurfaceDocument,
};
use crate::ir::{Content, Operation, Pagination, Parameter, Place, Shape, Success, Surface, Type, TypeDef};
use crate::lint::routes::parameters_of;
use crate::source::Located;

/// Surfaces in the order of the tags, operations in the order of the surface's file.
pub fn lower(documents: &Documents, types: &IndexMap<String, TypeDef>) -> Vec<Surface> {
    let tags = documents.route_map.tags.iter();
    tags.filter_map(|tag| {
        let surface = documents.surfaces.get(&tag.name.value)?;
        Some(Surface {
            name: surface.name.clone(),
            description: tag.description.clone(),
            source: surface.source.clone(),
            operations: operations(documents, types, surface),
        })
    })
    .collect()
}

fn operations(documents: &Documents, types: &IndexMap<String, TypeDef>, surface: &SurfaceDocument) -> Vec<Operation> {
    let mut operations = Vec::new();
    for item in &surface.items {
        let routes = &documents.route_map.routes;
        let route = routes.iter().find(|route| route.surface == surface.name && route.item.value == item.name.value);
        let Some(route) = route else { continue };
        let lowered = item.operations.iter().map(|operation| one(documents, types, &route.path.value, operation));
        operations.extend(lowered);
    }
    operations
}

fn one(
    documents: &Documents,
    types: &IndexMap<String, TypeDef>,
    path: &str,
    operation: &OperationDocument,
) -> Operation {
    let mut successes: Vec<Success> = operation
        .successes
        .iter()
        .filter_map(|success| {
            Some(Success {
                status: success.status,
                description: success.description.clone(),
                content: success.content.clone()?,
            })
        })
        .collect();
    successes.sort_by_key(|success| success.status);
    let errors = codes_of(&documents.errors, &operation.errors, &RequestShape::of_operation(operation));
    Operation {
        id: operation.id.value.clone(),
        method: operation.method,
        path: path.to_owned(),
        summary: operation.summary.clone(),
        description: operation.description.clone(),
        deprecated: operation.deprecated,
        parameters: parameters(path, &operation.parameters),
        body: operation.body.as_ref().map(|body| body.value.clone()),
        pagination: operation.pagination.as_ref().and_then(|it| pagination(types, &successes, it)),
        successes,
        errors: errors.into_iter().map(str::to_owned).collect(),
        security: security(&operation.security),
        idempotent: operation.idempotent.is_some(),
        repeatable: operation.repeatable.is_some() || operation.method.is_repeatable(),
        long_poll: operation.long_poll.is_some(),
    }
}

/// Path parameters in the order of the path, then the others as written.
fn parameters(path: &str, documents: &[ParameterDocument]) -> Vec<Parameter> {
    let order = parameters_of(path).unwrap_or_default();
    let mut parameters: Vec<Parameter> = documents.iter().filter_map(parameter).collect();
    parameters.sort_by_key(|parameter| match parameter.place {
        Place::Path => order.iter().position(|name| *name == parameter.name).unwrap_or(order.len()),
        Place::Query | Place::Header => order.len(),
    });
    parameters
}

/// The alternatives, by name.
pub(super) fn security(alternatives: &[Vec<Located<String>>]) -> Vec<Vec<String>> {
    alternatives.iter().map(|schemes| schemes.iter().map(|scheme| scheme.value.clone()).collect()).collect()
}

pub(super) fn parameter(document: &ParameterDocument) -> Option<Parameter> {
    let value = document.value.as_ref()?;
    Some(Parameter {
        name: document.name.value.clone(),
        place: document.place,
        description: document.description.clone(),
        required: document.required,
        deprecated: document.deprecated,
        ty: value.ty.clone(),
        limits: value.limits.clone(),
        default: document.default.as_ref().map(|default| default.value.clone()),
    })
}

fn pagination(
    types: &IndexMap<String, TypeDef>,
    successes: &[Success],
    document: &PaginationDocument,
) -> Option<Pagination> {
    let [Success { content: Content::Json { ty }, .. }] = successes else {
        return None;
    };
    let Shape::Object { fields } = &types.get(ty)?.shape else {
        return None;
    };
    let items = fields.iter().find(|field| field.name == document.items.value)?;
    let Type::List { item } = &items.ty else {
        return None;
    };
    let Type::Named { name } = item.as_ref() else {
        return None;
    };
    Some(Pagination {
        items: document.items.value.clone(),
        item: name.clone(),
        next: document.next.value.clone(),
        cursor: document.cursor.value.clone(),
    })
}

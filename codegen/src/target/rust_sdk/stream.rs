//! All pages of a paginated operation as one stream.

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::operation::TAKEN;
use super::parameters::ParametersItem;
use crate::ir::{Content, Field, Operation, Pagination, Protocol, Shape, Success, Type};
use crate::target::rust::identifier;
use crate::target::rust::operation::path_parameters;
use crate::target::rust::types::{TypeWriter, definition};

/// All pages as one stream.
#[derive(Serialize)]
pub(super) struct StreamItem {
    function: String,
    item: String,
    /// Clones of the path parameters.
    owned: Vec<String>,
    passed: Vec<String>,
    cursor: String,
    items: String,
    next: String,
}

pub(super) fn of(
    protocol: &Protocol,
    operation: &Operation,
    pagination: &Pagination,
    parameters: Option<&ParametersItem>,
    writer: &mut TypeWriter<'_>,
) -> Result<StreamItem> {
    let [Success { content: Content::Json { ty }, .. }] = operation.successes.as_slice() else {
        bail!("{} is paginated, so it must succeed with one object", operation.id);
    };
    let Shape::Object { fields } = &definition(protocol, ty)?.shape else {
        bail!("{} is paginated, but its answer {ty} is not an object", operation.id);
    };
    let field = |name: &str| {
        let field = fields.iter().find(|field| field.name == name);
        field.with_context(|| format!("{ty}, the page of {}, has no property {name}", operation.id))
    };
    let cursor = identifier::value(&pagination.cursor)?;
    let parameters = parameters.with_context(|| format!("{} is paginated, but takes no cursor", operation.id))?;
    let takes_cursor = parameters.optional.iter().any(|field| field.name == cursor && field.ty == "Option<String>");
    ensure!(takes_cursor, "the cursor of {} must be an optional text", operation.id);

    let (mut owned, mut passed) = (Vec::new(), Vec::new());
    for parameter in path_parameters(operation) {
        let name = identifier::value_beside(&parameter.name, TAKEN)?;
        owned.push(format!("let {name} = {name}.to_owned();"));
        passed.push(format!("&{name}"));
    }
    passed.push("&parameters".to_owned());
    writer.imported("crate::runtime::paginate");
    writer.imported("crate::Result");
    writer.imported("futures_util::Stream");
    Ok(StreamItem {
        function: format!("{}_stream", identifier::unraw(&identifier::value(&operation.id)?)),
        item: writer.write(&Type::Named { name: pagination.item.clone() })?,
        owned,
        passed,
        cursor,
        items: plain(field(&pagination.items)?, "unwrap_or_default")?,
        next: optional(field(&pagination.next)?)?,
    })
}

/// The expression of a field that holds a list.
fn plain(field: &Field, otherwise: &str) -> Result<String> {
    let access = format!("page.{}", identifier::value(&field.name)?);
    Ok(match (field.required, field.nullable) {
        (true, false) => access,
        (false, true) => format!("{access}.into_value().{otherwise}()"),
        _ => format!("{access}.{otherwise}()"),
    })
}

/// The expression of a field as an `Option`.
fn optional(field: &Field) -> Result<String> {
    let access = format!("page.{}", identifier::value(&field.name)?);
    Ok(match (field.required, field.nullable) {
        (true, false) => format!("Some({access})"),
        (false, true) => format!("{access}.into_value()"),
        _ => access,
    })
}

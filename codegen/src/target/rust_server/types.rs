//! The wire types, one file each.

use anyhow::{Context, Result};
use serde::Serialize;

use super::limits::{Checks, PatternItem, Patterns, located, schema_attributes, validators};
use super::{DIALECT, ROOT};
use crate::ir::{EnumValue, Field, Protocol, Shape, TypeDef, Variant};
use crate::target::OutputFile;
use crate::target::rust::template::Templates;
use crate::target::rust::types::{From, TypeWriter, reachable, resolved};
use crate::target::rust::{documentation, identifier, imports, literal};
use crate::target::scope::Scope;

#[derive(Serialize)]
struct TypesModule {
    types: Vec<TypeEntry>,
}

#[derive(Serialize)]
struct TypeEntry {
    module: String,
    name: String,
}

#[derive(Serialize)]
struct TypeFile {
    imports: Vec<String>,
    docs: Vec<String>,
    attributes: Vec<String>,
    name: String,
    wire_name: String,
    shape: ShapeItem,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ShapeItem {
    Struct { fields: Vec<FieldItem>, has_secret: bool, checked: bool, checks: Vec<String>, patterns: Vec<PatternItem> },
    Enum { variants: Vec<VariantItem> },
    Union { tag: String, variants: Vec<VariantItem>, checked: bool },
    Alias { ty: String },
}

#[derive(Serialize)]
struct FieldItem {
    docs: Vec<String>,
    attributes: Vec<String>,
    name: String,
    /// Without `r#`.
    bare_name: String,
    /// Never shown.
    secret: bool,
    ty: String,
}

#[derive(Serialize)]
struct VariantItem {
    docs: Vec<String>,
    name: String,
    /// A literal.
    value: String,
    /// Of a union: what the variant holds.
    ty: String,
}

pub(super) fn emit(protocol: &Protocol, templates: &Templates) -> Result<Vec<OutputFile>> {
    let mut modules = Scope::new("the modules of `types`");
    let mut names = Scope::new("the types");
    let operations = protocol.surfaces.iter().flat_map(|surface| &surface.operations);
    let bodies = operations.filter_map(|operation| operation.body.as_deref());
    let messages = protocol.sockets.iter().flat_map(|socket| &socket.client_messages);
    let checked = reachable(protocol, bodies.chain(messages.map(|message| message.ty.as_str())));
    let mut files = Vec::new();
    let mut types = Vec::new();
    for definition in protocol.types.values() {
        let module = modules.claim(identifier::module(&definition.name)?, &definition.name)?;
        let name = names.claim(identifier::type_name(&definition.name)?, &definition.name)?;
        let lowering = Lowering { protocol, definition, checked: checked.contains(definition.name.as_str()) };
        let file = lowering.file(name.clone()).with_context(|| format!("in spec/{}", definition.source))?;
        let contents = templates.render("type", &definition.source, file)?;
        files.push(OutputFile::new(format!("{ROOT}/types/{}.rs", identifier::file_stem(&module)), contents));
        types.push(TypeEntry { module, name });
    }
    let contents = templates.render("types", "schemas", TypesModule { types })?;
    files.insert(0, OutputFile::new(format!("{ROOT}/types/mod.rs"), contents));
    Ok(files)
}

struct Lowering<'a> {
    protocol: &'a Protocol,
    definition: &'a TypeDef,
    /// Whether clients send it.
    checked: bool,
}

impl Lowering<'_> {
    fn file(&self, name: String) -> Result<TypeFile> {
        let mut writer = TypeWriter::new(&DIALECT, From::Types);
        let shape = match &self.definition.shape {
            Shape::Object { fields } => self.object(fields, &mut writer)?,
            Shape::Enum { values } => self.enumeration(values, &mut writer)?,
            Shape::Union { discriminator, variants } => self.union(discriminator, variants, &mut writer)?,
            Shape::Alias { ty, .. } => ShapeItem::Alias { ty: writer.write(ty)? },
        };
        // A type may mention itself, and is in scope by definition.
        writer.imports.remove(&format!("super::{name}"));
        let is_alias = matches!(shape, ShapeItem::Alias { .. });
        Ok(TypeFile {
            imports: imports::lines(&writer.imports),
            docs: documentation::lines(&self.definition.description),
            attributes: if is_alias { Vec::new() } else { self.attributes(&name) },
            wire_name: literal::string(&self.definition.name),
            name,
            shape,
        })
    }

    fn attributes(&self, name: &str) -> Vec<String> {
        let is_union = matches!(self.definition.shape, Shape::Union { .. });
        let wire_name = literal::string(&self.definition.name);
        let mut oai = Vec::new();
        let mut attributes = Vec::new();
        if name != self.definition.name {
            oai.push(format!("rename = {wire_name}"));
            attributes.push(format!("serde(rename = {wire_name})"));
        }
        // poem-openapi has no deprecated unions.
        if self.definition.deprecated && !is_union {
            oai.push("deprecated".to_owned());
        }
        if let Shape::Union { discriminator, .. } = &self.definition.shape {
            let tag = literal::string(discriminator);
            oai.push(format!("discriminator_name = {tag}"));
            oai.push("one_of = true".to_owned());
            attributes.push(format!("serde(tag = {tag})"));
        }
        if !oai.is_empty() {
            attributes.insert(0, format!("oai({})", oai.join(", ")));
        }
        attributes
    }

    fn object(&self, fields: &[Field], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
        let mut scope = Scope::new(format!("the properties of {}", self.definition.name));
        let mut items = Vec::new();
        let mut checks = Vec::new();
        let mut patterns = Patterns::default();
        for field in fields {
            let name = scope.claim(identifier::value(&field.name)?, &field.name)?;
            if self.checked {
                checks.extend(self.checks(field, &name, &mut patterns)?);
            }
            items.push(self.field(field, name, writer)?);
        }
        if self.checked {
            writer.imports.extend(["Location", "Problems", "Validate"].map(|name| format!("crate::support::{name}")));
            if !patterns.is_empty() {
                writer.imported("crate::support::Pattern");
            }
        }
        let has_secret = fields.iter().any(|field| field.secret);
        Ok(ShapeItem::Struct {
            fields: items,
            has_secret,
            checked: self.checked,
            checks,
            patterns: patterns.into_items(),
        })
    }

    fn checks(&self, field: &Field, name: &str, patterns: &mut Patterns) -> Result<Vec<String>> {
        let location = format!("at.property({})", literal::string(&field.name));
        let value = if field.required && !field.nullable { format!("&self.{name}") } else { "value".to_owned() };
        let place = identifier::constant(&field.name)?;
        let mut checks = Checks { protocol: self.protocol, patterns, place };
        let checks = located(checks.of(&field.ty, &field.limits, &value, "&here")?, &location);
        if checks.is_empty() {
            return Ok(checks);
        }
        let opening = match (field.required, field.nullable) {
            (true, false) => None,
            (false, true) => Some(format!("if let MaybeUndefined::Value(value) = &self.{name} {{")),
            _ => Some(format!("if let Some(value) = &self.{name} {{")),
        };
        let closing = opening.is_some().then(|| "}".to_owned());
        Ok(opening.into_iter().chain(checks).chain(closing).collect())
    }

    fn field(&self, field: &Field, name: String, writer: &mut TypeWriter<'_>) -> Result<FieldItem> {
        let mut ty = writer.write(&field.ty)?;
        if field.recursive {
            ty = format!("Box<{ty}>");
        }
        let (resolved_type, limits) = resolved(self.protocol, &field.ty, &field.limits)?;
        let (mut oai, mut serde, mut schemars) = (Vec::new(), Vec::new(), Vec::new());
        if identifier::unraw(&name) != field.name {
            let rename = format!("rename = {}", literal::string(&field.name));
            oai.push(rename.clone());
            serde.push(rename);
        }
        match (field.required, field.nullable) {
            (true, false) => {}
            (false, false) => {
                schemars.push(format!("with = \"{ty}\""));
                ty = format!("Option<{ty}>");
                oai.push("skip_serializing_if_is_none".to_owned());
                serde.push("default".to_owned());
                serde.push("skip_serializing_if = \"Option::is_none\"".to_owned());
                serde.push("deserialize_with = \"crate::support::present\"".to_owned());
            }
            (true, true) => {
                schemars.push(format!("with = \"{}<{ty}>\"", writer.imported("crate::support::Nullable")));
                ty = format!("Option<{ty}>");
                serde.push("deserialize_with = \"crate::support::nullable\"".to_owned());
            }
            (false, true) => {
                schemars.push(format!("with = \"{}<{ty}>\"", writer.imported("crate::support::Nullable")));
                ty = format!("{}<{ty}>", writer.imported("poem_openapi::types::MaybeUndefined"));
                serde.push("default".to_owned());
                serde.push("skip_serializing_if = \"MaybeUndefined::is_undefined\"".to_owned());
            }
        }
        let validators = validators(resolved_type, &limits, true);
        if !validators.is_empty() {
            oai.push(format!("validator({})", validators.join(", ")));
        }
        schemars.extend(schema_attributes(resolved_type, &limits));
        if field.deprecated {
            oai.push("deprecated".to_owned());
            schemars.push("extend(\"deprecated\" = true)".to_owned());
        }
        let groups = [("oai", oai), ("serde", serde), ("schemars", schemars)];
        let groups = groups.into_iter().filter(|(_, parts)| !parts.is_empty());
        let attributes = groups.map(|(name, parts)| format!("{name}({})", parts.join(", "))).collect();
        let secret = if field.secret { documentation::SECRET } else { "" };
        Ok(FieldItem {
            docs: documentation::paragraphs([field.description.as_str(), secret]),
            attributes,
            bare_name: identifier::unraw(&name).to_owned(),
            name,
            secret: field.secret,
            ty,
        })
    }

    fn enumeration(&self, values: &[EnumValue], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
        let mut scope = Scope::new(format!("the values of {}", self.definition.name));
        let mut variants = Vec::new();
        for value in values {
            variants.push(VariantItem {
                docs: documentation::lines(&value.description),
                name: scope.claim(identifier::variant(&value.value, &[])?, &value.value)?,
                value: literal::string(&value.value),
                ty: String::new(),
            });
        }
        writer.imported("crate::support::UnknownValue");
        Ok(ShapeItem::Enum { variants })
    }

    fn union(&self, tag: &str, variants: &[Variant], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
        let mut scope = Scope::new(format!("the variants of {}", self.definition.name));
        let mut items = Vec::new();
        for variant in variants {
            items.push(VariantItem {
                docs: Vec::new(),
                name: scope.claim(identifier::variant(&variant.tag, &[])?, &variant.tag)?,
                value: literal::string(&variant.tag),
                ty: writer.named(&variant.ty)?,
            });
        }
        if self.checked {
            writer.imports.extend(["Location", "Problems", "Validate"].map(|name| format!("crate::support::{name}")));
        }
        Ok(ShapeItem::Union { tag: literal::string(tag), variants: items, checked: self.checked })
    }
}

//! The wire types, one file each.

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{DIALECT, ROOT, answered};
use crate::ir::{EnumValue, Field, Protocol, Shape, Type, TypeDef, Variant};
use crate::target::OutputFile;
use crate::target::rust::template::Templates;
use crate::target::rust::types::{From, TypeWriter, resolved};
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
    name: String,
    /// Whether an answer can consist of it.
    is_answer: bool,
    shape: ShapeItem,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ShapeItem {
    Struct {
        fields: Vec<FieldItem>,
        has_secret: bool,
        has_default: bool,
        optional: Vec<FieldItem>,
        required: Vec<FieldItem>,
    },
    Enum {
        variants: Vec<VariantItem>,
    },
    Union {
        tag: String,
        variants: Vec<VariantItem>,
    },
    Alias {
        ty: String,
    },
}

/// A field of a struct, or of the parameters of an operation.
#[derive(Serialize, Clone)]
pub(super) struct FieldItem {
    pub(super) docs: Vec<String>,
    pub(super) attributes: Vec<String>,
    pub(super) name: String,
    /// Without `r#`.
    pub(super) bare_name: String,
    pub(super) ty: String,
    /// How the value is given to a constructor or a setter.
    pub(super) argument: String,
    /// What is stored of it.
    pub(super) stored: String,
    /// Never shown.
    pub(super) secret: bool,
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
    let answered = answered(protocol);
    let mut files = Vec::new();
    let mut types = Vec::new();
    for definition in protocol.types.values() {
        let module = modules.claim(identifier::module(&definition.name)?, &definition.name)?;
        let name = names.claim(identifier::type_name(&definition.name)?, &definition.name)?;
        let is_answer = answered.contains(&definition.name.as_str());
        let file = file(protocol, definition, name.clone(), is_answer)
            .with_context(|| format!("in spec/{}", definition.source))?;
        let contents = templates.render("type", &definition.source, file)?;
        files.push(OutputFile::new(format!("{ROOT}/types/{}.rs", identifier::file_stem(&module)), contents));
        types.push(TypeEntry { module, name });
    }
    let contents = templates.render("types", "schemas", TypesModule { types })?;
    files.insert(0, OutputFile::new(format!("{ROOT}/types/mod.rs"), contents));
    Ok(files)
}

fn file(protocol: &Protocol, definition: &TypeDef, name: String, is_answer: bool) -> Result<TypeFile> {
    let mut writer = TypeWriter::new(&DIALECT, From::Types);
    let (shape, is_answer) = match &definition.shape {
        Shape::Object { fields } => (object(definition, fields, &mut writer)?, is_answer),
        Shape::Enum { values } => (enumeration(definition, values, &mut writer)?, is_answer),
        Shape::Union { discriminator, variants } => {
            (union(definition, discriminator, variants, &mut writer)?, is_answer)
        }
        Shape::Alias { ty, limits } => {
            let is_list = matches!(resolved(protocol, ty, limits)?.0, Type::List { .. });
            if is_answer && !is_list {
                bail!("an answer consists of {name}, which is neither an object, an enum, a union nor a list");
            }
            // The runtime decodes every list.
            (ShapeItem::Alias { ty: writer.write(ty)? }, false)
        }
    };
    writer.imports.remove(&format!("super::{name}"));
    if is_answer {
        writer.imported("crate::runtime::json_answer");
    }
    let deprecated = if definition.deprecated { "Deprecated." } else { "" };
    Ok(TypeFile {
        imports: imports::lines(&writer.imports),
        docs: documentation::paragraphs([definition.description.as_str(), deprecated]),
        name,
        is_answer,
        shape,
    })
}

fn object(definition: &TypeDef, fields: &[Field], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
    writer.imports.extend(["Deserialize", "Serialize"].map(|name| format!("serde::{name}")));
    let mut scope = Scope::new(format!("the properties of {}", definition.name));
    let (mut items, mut required, mut optional) = (Vec::new(), Vec::new(), Vec::new());
    for each in fields {
        let item = field(each, scope.claim(identifier::value(&each.name)?, &each.name)?, writer)?;
        if each.required {
            required.push(item.clone());
        } else {
            optional.push(item.clone());
        };
        items.push(item);
    }
    let has_secret = fields.iter().any(|field| field.secret);
    Ok(ShapeItem::Struct { fields: items, has_secret, has_default: required.is_empty(), optional, required })
}

fn field(field: &Field, name: String, writer: &mut TypeWriter<'_>) -> Result<FieldItem> {
    let bare = writer.write(&field.ty)?;
    let mut serde = Vec::new();
    if identifier::unraw(&name) != field.name {
        serde.push(format!("rename = {}", literal::string(&field.name)));
    }
    // Null is JSON like any other, so where JSON may be missing there are three states as well.
    let nullable = field.nullable || field.ty == Type::Json && !field.required;
    if !field.required {
        let skip = if nullable { "Field::is_absent" } else { "Option::is_none" };
        serde.push("default".to_owned());
        serde.push(format!("skip_serializing_if = \"{skip}\""));
    }
    let held = if field.recursive { format!("Box<{bare}>") } else { bare.clone() };
    let given = Given::of(&field.ty, &bare, field.recursive, &name);
    let (ty, argument, stored) = match (field.required, nullable) {
        (true, false) => (held, given.argument, given.stored),
        (true, true) => (format!("Option<{held}>"), format!("Option<{held}>"), name.clone()),
        (false, false) => (format!("Option<{held}>"), given.argument, format!("Some({})", given.stored)),
        (false, true) => {
            let field = writer.imported("crate::runtime::Field");
            (format!("{field}<{held}>"), format!("impl Into<{field}<{held}>>"), format!("{name}.into()"))
        }
    };
    let deprecated = if field.deprecated { "Deprecated." } else { "" };
    let secret = if field.secret { documentation::SECRET } else { "" };
    Ok(FieldItem {
        docs: documentation::paragraphs([field.description.as_str(), secret, deprecated]),
        attributes: if serde.is_empty() { Vec::new() } else { vec![format!("serde({})", serde.join(", "))] },
        bare_name: identifier::unraw(&name).to_owned(),
        name,
        ty,
        argument,
        stored,
        secret: field.secret,
    })
}

/// How a value is given to a function.
pub(super) struct Given {
    pub(super) argument: String,
    pub(super) stored: String,
}

impl Given {
    pub(super) fn of(ty: &Type, written: &str, boxed: bool, name: &str) -> Self {
        match ty {
            Type::String | Type::Uri => {
                Self { argument: "impl Into<String>".to_owned(), stored: format!("{name}.into()") }
            }
            _ if boxed => Self { argument: written.to_owned(), stored: format!("Box::new({name})") },
            _ => Self { argument: written.to_owned(), stored: name.to_owned() },
        }
    }
}

fn enumeration(definition: &TypeDef, values: &[EnumValue], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
    writer.imported("crate::runtime::UnknownValue");
    let mut scope = Scope::new(format!("the values of {}", definition.name));
    let mut variants = Vec::new();
    for value in values {
        variants.push(VariantItem {
            docs: documentation::lines(&value.description),
            name: scope.claim(identifier::variant(&value.value, &["Unknown"])?, &value.value)?,
            value: literal::string(&value.value),
            ty: String::new(),
        });
    }
    Ok(ShapeItem::Enum { variants })
}

fn union(definition: &TypeDef, tag: &str, variants: &[Variant], writer: &mut TypeWriter<'_>) -> Result<ShapeItem> {
    writer.imported("crate::runtime::UnknownVariant");
    let mut scope = Scope::new(format!("the variants of {}", definition.name));
    let mut items = Vec::new();
    for variant in variants {
        items.push(VariantItem {
            docs: Vec::new(),
            name: scope.claim(identifier::variant(&variant.tag, &["Unknown"])?, &variant.tag)?,
            value: literal::string(&variant.tag),
            ty: writer.named(&variant.ty)?,
        });
    }
    Ok(ShapeItem::Union { tag: literal::string(tag), variants: items })
}

//! Names of the spec as Rust identifiers. Words are split once, by [`crate::names`]; a reserved word becomes a raw
//! identifier, or gets a trailing underscore where Rust knows no raw form of it.

use anyhow::{Result, bail};

use crate::names;

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Keywords that cannot be raw.
const NEVER_RAW: &[&str] = &["self", "super", "crate"];

/// Types that generated files name without a path, and so cannot be the name of a type of the spec.
const TYPES_IN_SCOPE: &[&str] = &[
    "Box",
    "BTreeMap",
    "Default",
    "Deserialize",
    "Err",
    "Field",
    "From",
    "Int64",
    "Into",
    "JsonObject",
    "JsonValue",
    "Location",
    "Map",
    "MaybeUndefined",
    "None",
    "Nullable",
    "Ok",
    "Option",
    "Pattern",
    "Problems",
    "Result",
    "Self",
    "Serialize",
    "Some",
    "String",
    "Timestamp",
    "UnknownValue",
    "UnknownVariant",
    "Uuid",
    "Validate",
    "Value",
    "Vec",
];

/// A field, a parameter, a method or a module.
pub(crate) fn value(name: &str) -> Result<String> {
    let snake = started(names::snake(name), name)?;
    Ok(if NEVER_RAW.contains(&snake.as_str()) {
        format!("{snake}_")
    } else if KEYWORDS.contains(&snake.as_str()) {
        format!("r#{snake}")
    } else {
        snake
    })
}

/// A field, a parameter or a method that must not be one of `taken` either.
pub(crate) fn value_beside(name: &str, taken: &[&str]) -> Result<String> {
    let identifier = value(name)?;
    Ok(if taken.contains(&identifier.as_str()) { format!("{identifier}_") } else { identifier })
}

/// A module with a file of its own, which cannot be `mod.rs`.
pub(crate) fn module(name: &str) -> Result<String> {
    let identifier = value(name)?;
    Ok(if identifier == "r#mod" { "mod_".to_owned() } else { identifier })
}

/// The name of the file of a [`module`], without its ending.
pub(crate) fn file_stem(module: &str) -> &str {
    unraw(module)
}

/// An identifier without `r#`: what derives see, and what can be part of a longer name.
pub(crate) fn unraw(identifier: &str) -> &str {
    identifier.strip_prefix("r#").unwrap_or(identifier)
}

/// A type of the spec.
pub(crate) fn type_name(name: &str) -> Result<String> {
    let pascal = started(names::pascal(name), name)?;
    // Types are written in upper camel case by the profile, which is kept letter by letter.
    let kept = if names::is_pascal(name) { name.to_owned() } else { pascal };
    Ok(if TYPES_IN_SCOPE.contains(&kept.as_str()) { format!("{kept}_") } else { kept })
}

/// A variant of an enum; `taken` are variants that the enum has besides those of the spec.
pub(crate) fn variant(value: &str, taken: &[&str]) -> Result<String> {
    let pascal = started(names::pascal(value), value)?;
    Ok(if pascal == "Self" || taken.contains(&pascal.as_str()) { format!("{pascal}_") } else { pascal })
}

/// A constant.
pub(crate) fn constant(name: &str) -> Result<String> {
    Ok(started(names::snake(name), name)?.to_uppercase())
}

fn started(identifier: String, name: &str) -> Result<String> {
    if !identifier.is_ascii() || identifier.is_empty() {
        bail!("{name:?} cannot become a name in Rust; it needs ASCII letters or digits");
    }
    Ok(if identifier.starts_with(|first: char| first.is_ascii_digit()) { format!("_{identifier}") } else { identifier })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_raw_where_rust_allows_it() {
        for (name, expected) in [
            ("run_id", "run_id"),
            ("agentId", "agent_id"),
            ("type", "r#type"),
            ("gen", "r#gen"),
            ("self", "self_"),
            ("Crate", "crate_"),
            ("2fa", "_2fa"),
        ] {
            assert_eq!(value(name).expect(name), expected);
        }
        assert_eq!(module("Mod").expect("it is a name"), "mod_");
        assert_eq!(file_stem(&module("Type").expect("it is a name")), "type");
        assert_eq!(value_beside("context", &["context"]).expect("it is a name"), "context_");
    }

    #[test]
    fn variants_leave_room_for_the_unknown_one() {
        assert_eq!(variant("Unknown", &["Unknown"]).expect("it is a name"), "Unknown_");
        assert_eq!(variant("unknown", &[]).expect("it is a name"), "Unknown");
        assert_eq!(variant("self", &[]).expect("it is a name"), "Self_");
        assert_eq!(variant("1d", &[]).expect("it is a name"), "_1d");
    }

    #[test]
    fn types_do_not_hide_those_that_generated_code_uses() {
        assert_eq!(type_name("Option").expect("it is a name"), "Option_");
        assert_eq!(type_name("HTTPServer").expect("it is a name"), "HTTPServer");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "--", "\u{4f60}", "*/"] {
            assert!(value(name).is_err(), "{name}");
            assert!(variant(name, &[]).is_err(), "{name}");
        }
    }
}

//! `info`, with which both the route map and the list of sockets begin.

use super::Reader;
use super::fields::Fields;
use crate::source::{Entry, Located};

/// What a document is called.
#[derive(Debug)]
pub struct Info {
    pub title: String,
    pub version: Option<Located<String>>,
    pub description: String,
}

/// Reads `info`. Only OpenAPI's license has an identifier, so only the route map says one.
pub fn read(reader: &mut Reader<'_>, entry: &Entry, with_license: bool) -> Option<Info> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`info`")?;
    let info = Info {
        title: fields.need_text(reader, "title").map(|title| title.value).unwrap_or_default(),
        version: fields.need_text(reader, "version"),
        description: fields.need_prose(reader, "description"),
    };
    if with_license
        && let Some(license) = fields.get("license")
        && let Some(mut inner) = Fields::open(reader, &license.value, license.key_at, "a license")
    {
        inner.need_text(reader, "name");
        inner.text(reader, "identifier");
        inner.close(reader);
    }
    fields.close(reader);
    Some(info)
}

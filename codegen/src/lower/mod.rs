//! From checked documents to the neutral model. Decides nothing that the profile has not decided: puts things into the
//! model's order, adds what is implied, takes the discriminator out of variants, and marks recursive fields.

pub mod operations;
pub mod recursion;
pub mod sockets;
pub mod types;

use indexmap::IndexMap;

use crate::document::Documents;
use crate::ir::{ErrorDef, Protocol, SecurityScheme};

/// Lowers documents that passed every check.
pub fn lower(documents: &Documents) -> Protocol {
    let map = &documents.route_map;
    let mut types = types::lower(documents);
    recursion::mark(&mut types);
    let schemes = map.schemes.iter().map(|(name, scheme)| (name.clone(), scheme.value.clone()));
    let errors = documents.errors.values().map(|entry| {
        let error = ErrorDef {
            code: entry.code.value.clone(),
            status: entry.status,
            retryable: entry.retryable,
            message: entry.message.clone(),
            action: entry.action.clone(),
        };
        (entry.code.value.clone(), error)
    });
    Protocol {
        title: map.title.clone(),
        version: map.version.clone(),
        description: map.description.clone(),
        security_schemes: schemes.collect::<IndexMap<String, SecurityScheme>>(),
        surfaces: operations::lower(documents, &types),
        sockets: sockets::lower(documents),
        close_codes: sockets::close_codes(documents),
        types,
        errors: errors.collect(),
    }
}

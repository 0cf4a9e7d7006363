//! The same noun names the file in every layer, so whoever knows the name of a surface knows where everything is.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_tests::spec;

/// Where a surface's file is, in each layer; a folder of that name will do where one is large.
const LAYERS: [&str; 5] = [
    "spec/openapi/paths/{}.yaml",
    "api/src/generated/{}.rs",
    "sdk/rust/src/generated/{}.rs",
    "server/src/surface/{}.rs",
    "tests/contract/{}.rs",
];

#[test]
fn every_surface_has_its_file_in_every_layer() -> Result<()> {
    let surfaces: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.surface).collect();
    let mut missing = Vec::new();
    for surface in surfaces {
        for layer in LAYERS {
            let path = layer.replace("{}", surface);
            let file = spec::root().join(&path);
            if !file.is_file() && !file.with_extension("").join("mod.rs").is_file() {
                missing.push(path);
            }
        }
    }
    ensure!(missing.is_empty(), "these are missing:\n{}", missing.join("\n"));
    Ok(())
}

#[test]
fn no_surface_is_left_from_a_spec_of_the_past() -> Result<()> {
    let surfaces: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.surface).collect();
    for entry in std::fs::read_dir(spec::folder().join("openapi/paths"))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        ensure!(surfaces.contains(stem), "{} has no operation", Path::new(&path).display());
    }
    Ok(())
}

//! The same noun names the file in every layer, so whoever knows the name of a surface knows where everything is.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_tests::socket::document::sockets;
use flightdeck_tests::spec;

/// Where a surface's file is, in each layer; a folder of that name will do where one is large.
const LAYERS: [&str; 5] = [
    "spec/openapi/paths/{}.yaml",
    "api/src/generated/{}.rs",
    "sdk/rust/src/generated/{}.rs",
    "server/src/surface/{}.rs",
    "tests/contract/{}.rs",
];

/// The same for a socket.
const SOCKET_LAYERS: [&str; 4] = [
    "spec/asyncapi/channels/{}.yaml",
    "api/src/generated/sockets/{}.rs",
    "sdk/rust/src/generated/sockets/{}.rs",
    "server/src/surface/{}.rs",
];

/// The layers in which a noun has neither a file nor a folder.
fn missing(noun: &str, layers: &[&str]) -> Vec<String> {
    let paths = layers.iter().map(|layer| layer.replace("{}", noun));
    paths
        .filter(|path| {
            let file = spec::root().join(path);
            !file.is_file() && !file.with_extension("").join("mod.rs").is_file()
        })
        .collect()
}

#[test]
fn every_surface_has_its_file_in_every_layer() -> Result<()> {
    let surfaces: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.surface).collect();
    let missing: Vec<_> = surfaces.into_iter().flat_map(|surface| missing(surface, &LAYERS)).collect();
    ensure!(missing.is_empty(), "these are missing:\n{}", missing.join("\n"));
    Ok(())
}

#[test]
fn every_socket_has_its_file_in_every_layer() -> Result<()> {
    let missing: Vec<_> = sockets().iter().flat_map(|socket| missing(&socket.name, &SOCKET_LAYERS)).collect();
    ensure!(missing.is_empty(), "these are missing:\n{}", missing.join("\n"));
    Ok(())
}

#[test]
fn nothing_is_left_from_a_spec_of_the_past() -> Result<()> {
    let surfaces: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.surface).collect();
    let sockets: BTreeSet<_> = sockets().iter().map(|socket| socket.name.as_str()).collect();
    for (folder, nouns) in [("openapi/paths", surfaces), ("asyncapi/channels", sockets)] {
        for entry in std::fs::read_dir(spec::folder().join(folder))? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            ensure!(nouns.contains(stem), "{} describes nothing that the protocol has", path.display());
        }
    }
    Ok(())
}

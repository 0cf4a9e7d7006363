//! The commands. Each writes to the given output and answers how it ended, so that tests run them in-process.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Cli, Command, Common, Outcome};
use crate::compile::{self, Compilation};
use crate::diagnostic::render;
use crate::diff::{self, Verdict};
use crate::ir::Protocol;
use crate::output::{self, Change, Plan};

/// Runs a command.
///
/// # Errors
/// When something outside the spec fails: a folder that does not exist, a file that cannot be written.
pub fn run(cli: &Cli, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let root = match &cli.common.root {
        Some(root) => root.clone(),
        None => workspace_root(&std::env::current_dir()?)?,
    };
    let common = &cli.common;
    match &cli.command {
        Command::Generate { dry_run } => generate(&root, common, *dry_run, out),
        Command::Check => check(&root, common, out),
        Command::Lint { json } => lint(&root, common, *json, out),
        Command::Ir => ir(&root, common, out),
        Command::Diff { old, json } => difference(&root, common, old, *json, out),
    }
}

/// The nearest folder upwards whose `Cargo.toml` declares a workspace.
fn workspace_root(from: &Path) -> anyhow::Result<PathBuf> {
    let is_root = |folder: &&Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
    };
    let found = from.ancestors().find(is_root);
    found.map(Path::to_path_buf).context("this is no Cargo workspace; go to the repository, or say --root <FOLDER>")
}

fn load(root: &Path, common: &Common) -> anyhow::Result<Compilation> {
    let label = common.spec.to_string_lossy().replace('\\', "/");
    compile::from_folder(&root.join(&common.spec), label.trim_end_matches('/'), common.options())
}

/// Shows what was found, and answers the model if there is one.
fn sound<'a>(compilation: &'a Compilation, out: &mut dyn Write) -> anyhow::Result<Option<&'a Protocol>> {
    if !compilation.diagnostics.is_empty() {
        write!(out, "{}", compilation.report())?;
    }
    Ok(compilation.protocol.as_ref())
}

fn plan(root: &Path, compilation: &Compilation, protocol: &Protocol) -> anyhow::Result<Plan> {
    let files = output::produce(compilation, protocol)?;
    output::plan::compare(root, compilation.sources.hash(), files)
}

fn generate(root: &Path, common: &Common, dry_run: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let compilation = load(root, common)?;
    let Some(protocol) = sound(&compilation, out)? else {
        return Ok(Outcome::Faults);
    };
    let plan = plan(root, &compilation, protocol)?;
    if !dry_run {
        output::write::apply(root, &plan)?;
    }
    let would = if dry_run { "would " } else { "" };
    for change in &plan.changes {
        let (done, todo) = match change {
            Change::Create(_) => ("created", "create"),
            Change::Update(_) => ("updated", "update"),
            Change::Remove(_) => ("removed", "remove"),
        };
        let word = if dry_run { todo } else { done };
        writeln!(out, "{would}{word} {}", change.path())?;
    }
    writeln!(out, "{} changed, {} unchanged", plan.changes.len(), plan.unchanged)?;
    Ok(Outcome::Done)
}

fn check(root: &Path, common: &Common, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let compilation = load(root, common)?;
    let Some(protocol) = sound(&compilation, out)? else {
        return Ok(Outcome::Faults);
    };
    let plan = plan(root, &compilation, protocol)?;
    if plan.changes.is_empty() {
        writeln!(out, "{} generated files are fresh", plan.unchanged)?;
        return Ok(Outcome::Done);
    }
    for change in &plan.changes {
        let word = match change {
            Change::Create(_) => "missing",
            Change::Update(_) => "differs",
            Change::Remove(_) => "not generated any more",
        };
        writeln!(out, "{}: {word}", change.path())?;
    }
    writeln!(
        out,
        "the generated files do not belong to this spec; run `cargo codegen generate` and commit the result"
    )?;
    Ok(Outcome::Stale)
}

fn lint(root: &Path, common: &Common, json: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let compilation = load(root, common)?;
    if json {
        writeln!(out, "{}", render::json(&compilation.diagnostics, &compilation.sources)?)?;
    } else if let Some(protocol) = sound(&compilation, out)? {
        let operations: usize = protocol.surfaces.iter().map(|surface| surface.operations.len()).sum();
        let (sockets, types, codes) = (protocol.sockets.len(), protocol.types.len(), protocol.errors.len());
        writeln!(
            out,
            "the spec is sound: {operations} operations, {sockets} sockets, {types} types, {codes} error codes"
        )?;
    }
    Ok(if compilation.protocol.is_some() { Outcome::Done } else { Outcome::Faults })
}

fn ir(root: &Path, common: &Common, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let compilation = load(root, common)?;
    match &compilation.protocol {
        Some(protocol) => {
            writeln!(out, "{}", serde_json::to_string_pretty(protocol)?)?;
            Ok(Outcome::Done)
        }
        None => {
            write!(out, "{}", compilation.report())?;
            Ok(Outcome::Faults)
        }
    }
}

fn difference(root: &Path, common: &Common, old: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let new = load(root, common)?;
    let Some(new_protocol) = sound(&new, out)? else {
        return Ok(Outcome::Faults);
    };
    let mut options = common.options();
    // What the older spec lacked in examples breaks no client.
    options.without_examples = true;
    let before = if Path::new(old).is_dir() {
        compile::from_folder(Path::new(old), old, options)?
    } else {
        compile::from_revision(&root.join(&common.spec), old, options)?
    };
    let Some(old_protocol) = &before.protocol else {
        write!(out, "{}", before.report())?;
        writeln!(out, "the older spec is not sound by today's rules, so it cannot be compared")?;
        return Ok(Outcome::Faults);
    };
    let changes = diff::compare(old_protocol, new_protocol);
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&changes)?)?;
    } else {
        write!(out, "{}", diff::render(&changes))?;
    }
    let breaking = changes.iter().any(|change| change.verdict == Verdict::Breaking);
    Ok(if breaking { Outcome::Breaking } else { Outcome::Done })
}

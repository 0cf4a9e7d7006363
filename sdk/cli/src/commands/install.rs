//! `flightdeck install` and `uninstall`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use similar::TextDiff;

use super::Scene;
use crate::cli::{Agent, Install, Uninstall};
use crate::config::{Gate, Source, WhenUnreachable};
use crate::exit::{Exit, Failure};
use crate::install::{Plan, Settings, with_hooks};
use crate::term::{self, Colour};

/// How a change of a settings file is carried out.
struct Way {
    dry_run: bool,
    yes: bool,
}

pub(super) fn install(scene: &Scene, install: &Install) -> Result<()> {
    let Agent::ClaudeCode = install.agent;
    let settings = Settings::read(install.scope.file(&scene.folder)?)?;
    let configured = &scene.effective.gate;
    let gate = install.gate.unwrap_or(configured.0);
    let unreachable = &scene.effective.when_unreachable;
    let otherwise = install.when_unreachable.unwrap_or(unreachable.0);
    let plan = Plan::new(&own_program()?, gate, otherwise, install.timeout)?;
    let places = &scene.effective.places;
    let base = settings.without_ours(places)?;
    let new = with_hooks(base.as_deref().unwrap_or_default(), &plan).with_context(|| settings.unusable())?;

    let way = Way { dry_run: install.dry_run, yes: install.yes };
    let done = carry_out(scene, &settings, Some(&new), &way, || settings.install(places, &new))?;
    if scene.json {
        return say_json(scene, &settings, &done);
    }
    match done {
        Done::Nothing => term::say("The hooks are there already; nothing to do."),
        Done::Shown => Ok(()),
        Done::Changed => {
            let tick = scene.theme.paint(Colour::Good, "✓");
            term::say(&format!("{tick} Claude Code reports to Flightdeck from its next start on."))?;
            let asks = match gate {
                Gate::PermissionRequest => {
                    "When it asks for permission, your devices are asked too; the first answer counts."
                }
                Gate::PreToolUse => "Before it changes anything, it waits for a person in Flightdeck.",
                Gate::None => "It asks nobody in Flightdeck; it is only watched.",
            };
            term::say(&format!("  {asks}"))?;
            if install.gate.is_none() && configured.1 != Source::Default {
                term::say(&format!("  The gate is from: {}", term::line(&configured.1.to_string())))?;
            }
            match otherwise {
                _ if gate == Gate::None => {}
                WhenUnreachable::Ask => {}
                WhenUnreachable::Deny => term::say("  Without a verdict, it is refused.")?,
                WhenUnreachable::Allow => term::say("  Without a verdict, it may go on, unless it asks by itself.")?,
            }
            if install.when_unreachable.is_none() && unreachable.1 != Source::Default {
                term::say(&format!(
                    "  What happens without a verdict is from: {}",
                    term::line(&unreachable.1.to_string())
                ))?;
            }
            let receipt = settings.receipt_file(places);
            term::say(&format!("  What the file was is kept in {}", term::line(&receipt.to_string_lossy())))?;
            if scene.effective.workspace.is_none() && scene.effective.project.is_none() {
                term::say("  This folder is not paired yet: flightdeck pair")?;
            }
            Ok(())
        }
    }
}

pub(super) fn uninstall(scene: &Scene, uninstall: &Uninstall) -> Result<()> {
    let Agent::ClaudeCode = uninstall.agent;
    let settings = Settings::read(uninstall.scope.file(&scene.folder)?)?;
    let places = &scene.effective.places;
    let old = settings.without_ours(places)?;
    let way = Way { dry_run: uninstall.dry_run, yes: uninstall.yes };
    let done = carry_out(scene, &settings, old.as_deref(), &way, || settings.restore(places, old.as_deref()))?;
    if scene.json {
        return say_json(scene, &settings, &done);
    }
    match done {
        Done::Nothing => term::say("None of our hooks are there; nothing to do."),
        Done::Shown => Ok(()),
        Done::Changed => term::say(&format!("{} Flightdeck's hooks are gone.", scene.theme.paint(Colour::Good, "✓"))),
    }
}

/// What was done.
enum Done {
    Nothing,
    Shown,
    Changed,
}

fn carry_out(
    scene: &Scene,
    settings: &Settings,
    new: Option<&str>,
    way: &Way,
    change: impl FnOnce() -> Result<()>,
) -> Result<Done> {
    if new == settings.text.as_deref() {
        return Ok(Done::Nothing);
    }
    if !scene.json {
        show(scene, settings, new)?;
    }
    if way.dry_run {
        return Ok(Done::Shown);
    }
    if !way.yes {
        match term::confirm("Make this change?")? {
            Some(true) => {}
            Some(false) => return Err(Failure::new(Exit::Failed, "nothing was changed").into()),
            None => return Err(Failure::usage("nobody is here to confirm the change; add --yes to make it")),
        }
    }
    change()?;
    Ok(Done::Changed)
}

/// The change as a unified diff.
fn show(scene: &Scene, settings: &Settings, new: Option<&str>) -> Result<()> {
    let (old, new) = (settings.text.as_deref().unwrap_or_default(), new.unwrap_or_default());
    let name = settings.path.to_string_lossy();
    let diff = TextDiff::from_lines(old, new);
    let diff = diff.unified_diff().context_radius(3).header(&name, &name).to_string();
    for line in diff.lines() {
        let colour = match line.as_bytes().first() {
            Some(b'+') => Colour::Good,
            Some(b'-') => Colour::Bad,
            Some(b'@') => Colour::Accent,
            _ => Colour::Quiet,
        };
        term::say(&scene.theme.paint(colour, &term::block(line, "")))?;
    }
    Ok(())
}

fn say_json(scene: &Scene, settings: &Settings, done: &Done) -> Result<()> {
    let result = match done {
        Done::Nothing => "unchanged",
        Done::Shown => "would_change",
        Done::Changed => "changed",
    };
    term::say_json(&json!({
        "result": result,
        "path": settings.path,
        "backup": settings.receipt_file(&scene.effective.places),
    }))
}

/// This program's own path, as it should stand in the settings: the name by which it was found, if that is a link
/// that an update moves, and not the versioned file behind it.
fn own_program() -> Result<PathBuf> {
    let real = std::env::current_exe().context("could not find this program's own file")?;
    let on_path = std::env::var_os("PATH").and_then(|path| {
        let mut candidates = std::env::split_paths(&path).map(|folder| folder.join("flightdeck"));
        candidates.find(|candidate| candidate.is_absolute() && same_file(candidate, &real))
    });
    let program = on_path.unwrap_or(real);
    if program.file_stem().is_none_or(|name| name != "flightdeck") {
        bail!(
            "this program is called {}; it must be called flightdeck, so that uninstall finds its hooks again",
            program.display()
        );
    }
    Ok(program)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

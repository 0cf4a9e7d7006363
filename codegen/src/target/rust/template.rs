//! Templates for Rust files. They place what the model holds and decide nothing; `rustfmt` cares for white space.

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::documentation;
use crate::target::output_file::generated_from;

/// The templates of one target.
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// `sources` are names and texts.
    pub(crate) fn new(sources: &[(&'static str, &'static str)]) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.add_filter("doc", |lines: Vec<String>| comment("///", &lines));
        environment.add_filter("module_doc", |lines: Vec<String>| comment("//!", &lines));
        for (name, source) in sources {
            environment.add_template(name, source).with_context(|| format!("the template {name} is not valid"))?;
        }
        Ok(Self(environment))
    }

    /// A generated file: its first line says where it comes from.
    pub(crate) fn render(&self, name: &str, source: &str, context: impl Serialize) -> Result<String> {
        let template = self.0.get_template(name)?;
        let body = template.render(Serde(context)).with_context(|| format!("cannot fill the template {name}"))?;
        Ok(format!("// {}\n\n{}", generated_from(source), body.trim_start()))
    }
}

fn comment(marker: &str, lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("{marker} {line}").trim_end().to_owned() + "\n");
    lines.collect()
}

/// The docs of a module: what it is, and what the spec says about it.
pub(crate) fn module_docs(first: &str, description: &str) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    let described = documentation::lines(description);
    if !described.is_empty() {
        lines.push(String::new());
        lines.extend(described);
    }
    lines
}

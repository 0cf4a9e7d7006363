//! The figures, beside the bars that the project sets itself and beside the bare parts.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::machine::{Machine, load_average};
use crate::statistics::Takes;

/// What a figure must reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bar) => measured >= bar,
            Self::AtMost(bar) => measured <= bar,
        }
    }
}

/// One figure.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) benchmark: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) takes: Takes,
    pub(crate) bar: Option<Bar>,
    /// What bare parts reach, in the same unit.
    pub(crate) baselines: Vec<(String, f64)>,
    pub(crate) detail: String,
}

impl Figure {
    /// A figure without bar or baseline.
    pub(crate) fn new(benchmark: &'static str, what: impl Into<String>, unit: &'static str, takes: Takes) -> Self {
        Self { benchmark, what: what.into(), unit, takes, bar: None, baselines: Vec::new(), detail: String::new() }
    }

    fn met(&self) -> Option<bool> {
        self.bar.map(|bar| bar.is_met(self.takes.median()))
    }
}

/// All figures of one call.
#[derive(Debug)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    notes: Vec<String>,
    load_before: Option<String>,
}

impl Report {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self { figures: Vec::new(), notes: machine.notes.clone(), load_before: load_average() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Prints everything.
    pub(crate) fn print(mut self, as_json: bool) -> Result<()> {
        if let (Some(before), Some(after)) = (self.load_before.take(), load_average()) {
            self.notes.push(format!("load average before {before}, after {after}; other work makes figures worse"));
        }
        let text = if as_json { format!("{:#}\n", self.to_json()) } else { self.to_table() };
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    }

    fn to_json(&self) -> Value {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|figure| {
                let bar = figure.bar.map(|bar| match bar {
                    Bar::AtLeast(bar) => json!({"at_least": bar}),
                    Bar::AtMost(bar) => json!({"at_most": bar}),
                });
                let median = figure.takes.median();
                let baselines: Vec<_> = figure
                    .baselines
                    .iter()
                    .map(|(name, value)| json!({"name": name, "measured": value, "ratio": median / value}))
                    .collect();
                json!({
                    "benchmark": figure.benchmark, "what": figure.what, "unit": figure.unit, "median": median,
                    "least": figure.takes.least(), "most": figure.takes.most(), "bar": bar, "met": figure.met(),
                    "baselines": baselines, "detail": figure.detail,
                })
            })
            .collect();
        json!({"figures": figures, "notes": self.notes})
    }

    fn to_table(&self) -> String {
        let header = ["what", "bar", "measured", "least – most", "met", "ratio to baseline"].map(str::to_owned);
        let mut rows = vec![header];
        rows.extend(self.figures.iter().map(row));
        let widths: Vec<usize> =
            (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()).collect();
        let mut text = String::from("\n");
        for (place, row) in rows.iter().enumerate() {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            let _ = writeln!(text, "{}", cells.join("  ").trim_end());
            if place == 0 {
                let _ = writeln!(text, "{}", "─".repeat(widths.iter().sum::<usize>() + 10));
                continue;
            }
            let detail = &self.figures[place - 1].detail;
            if !detail.is_empty() {
                let _ = writeln!(text, "    {detail}");
            }
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "· {note}");
        }
        text
    }
}

fn row(figure: &Figure) -> [String; 6] {
    let number = |value| number(value, figure.unit);
    let bar = match figure.bar {
        Some(Bar::AtLeast(bar)) => format!("≥ {}", number(bar)),
        Some(Bar::AtMost(bar)) => format!("≤ {}", number(bar)),
        None => String::new(),
    };
    let takes = &figure.takes;
    let spread = match takes.least() < takes.most() {
        true => format!("{} – {}", number(takes.least()), number(takes.most())),
        false => String::new(),
    };
    let met = figure.met().map_or("", |met| if met { "yes" } else { "NO" }).to_owned();
    let ratios = figure
        .baselines
        .iter()
        .map(|(name, value)| format!("{:.2} × {name} ({})", takes.median() / value, number(*value)));
    [
        format!("{}: {}", figure.benchmark, figure.what),
        bar,
        format!("{} {}", number(takes.median()), figure.unit),
        spread,
        met,
        ratios.collect::<Vec<_>>().join(", "),
    ]
}

/// As many digits as mean something.
fn number(value: f64, unit: &str) -> String {
    match unit {
        "events/s" => format!("{value:.0}"),
        "KiB" | "s" => format!("{value:.1}"),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

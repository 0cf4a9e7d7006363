//! The load benchmarks: what the release server does in a second, beside the bare parts that it is made of.
//!
//! Each benchmark starts the server program itself, talks to it as a client does, and reads back whatever was
//! acknowledged. `README.md` says how to run them and how to read what they print. Whether an answer is right in every
//! detail is for the contract tests.

mod chats;
mod commits;
mod connection;
mod echo;
mod events;
mod feed;
mod flat;
mod machine;
mod options;
mod release;
mod report;
mod server;
mod signing;
mod slow;
mod sockets;
mod statistics;
mod terminal;
mod workspace;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::machine::Machine;
use crate::options::{Benchmark, EventsOptions, FlatOptions, Options, ReleaseOptions, SocketOptions};
use crate::report::Report;

/// What a benchmark has at hand.
struct Bench {
    options: Options,
    machine: Machine,
}

impl Bench {
    /// Says what happens now, where it does not mix with the results.
    #[expect(clippy::print_stderr, reason = "a person who waits wants to know for what")]
    fn say(&self, what: &str) {
        eprintln!("  … {what}");
    }
}

#[expect(clippy::print_stderr, reason = "the reason of a failure is for the person who started it")]
fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.benchmark.clone() {
        Benchmark::EchoServer => echo::serve(),
        Benchmark::BareServer => sockets::serve_bare(),
        Benchmark::CommitLoop(commits) => commits::run(&commits),
        _ => run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Before the runtime, so that its threads are where this one is.
    let machine = Machine::prepare();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        tokio::select! {
            outcome = measure(Bench { options, machine }) => outcome,
            // Dropping what is under way ends the servers and removes their folders.
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })
}

async fn measure(bench: Bench) -> Result<()> {
    let mut report = Report::new(&bench.machine);
    match &bench.options.benchmark {
        Benchmark::Events(options) => events::measure(&bench, options, &mut report).await?,
        Benchmark::Flat(options) => flat::measure(&bench, options, &mut report).await?,
        Benchmark::Release(options) => release::measure(&bench, options, &mut report).await?,
        Benchmark::Slow => slow::measure(&bench, &mut report).await?,
        Benchmark::Chats => chats::measure(&bench, &mut report).await?,
        Benchmark::Terminal => terminal::measure(&bench, &mut report).await?,
        Benchmark::Sockets(options) => sockets::measure(&bench, options, &mut report).await?,
        Benchmark::All => {
            events::measure(&bench, &EventsOptions::default(), &mut report).await?;
            release::measure(&bench, &ReleaseOptions::default(), &mut report).await?;
            flat::measure(&bench, &FlatOptions::default(), &mut report).await?;
            slow::measure(&bench, &mut report).await?;
            sockets::measure(&bench, &SocketOptions::default(), &mut report).await?;
            chats::measure(&bench, &mut report).await?;
            terminal::measure(&bench, &mut report).await?;
        }
        Benchmark::EchoServer | Benchmark::BareServer | Benchmark::CommitLoop(_) => {
            unreachable!("these never come here")
        }
    }
    report.print(bench.options.json)
}

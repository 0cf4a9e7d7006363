//! The binary: reads the settings, starts the server, says where everything is, and stops it on a signal.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use flightdeck_server::auth::AgentAccess;
use flightdeck_server::clock::SystemClock;
use flightdeck_server::config::{self, Config, Environment, LogFormat, Refused};
use flightdeck_server::service::agents::process::{GUARD_ARGUMENT, guard};
use flightdeck_server::{Running, start};
use tracing_subscriber::EnvFilter;

/// Keeps its books apart from what it hands out, so a buffer that is never written to costs nothing. A connection that waits
/// has two of those.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(GUARD_ARGUMENT) {
        guard(&arguments.next().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let mut config = match config::load(std::env::args_os()) {
        Ok(config) => config,
        Err(Refused::Arguments(error)) => error.exit(),
        Err(error @ Refused::Settings(_)) => return fail(&error.to_string()),
    };
    config.guard_program = std::env::current_exe().ok();
    if let Err(problem) = log(&config) {
        return fail(&problem);
    }
    prepare_process(&config);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("can't start the runtime: {error}")),
    };
    runtime.block_on(async {
        match start(config.clone(), Arc::new(SystemClock)).await {
            Ok(running) => {
                banner(&config, &running);
                stop_signal().await;
                tracing::info!("shutting down");
                running.shutdown().await;
                ExitCode::SUCCESS
            }
            Err(error) => fail(&format!("{error:#}")),
        }
    })
}

/// Asks the system for as many open files as it grants, because every waiting hook holds a connection; and keeps what the
/// server writes to its owner, whatever the folder allows.
fn prepare_process(config: &Config) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
        umask(rustix::fs::Mode::from_raw_mode(0o077));
        // Agents run as the same user, and must not read the settings out of /proc or the memory.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "this process can't be closed to others of its user");
        }
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let files = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        if files.is_some_and(|files| files < (config.max_connections + config.max_sockets) as u64 + 64) {
            tracing::warn!(
                open_files = files,
                max_connections = config.max_connections,
                max_sockets = config.max_sockets,
                "the system grants fewer open files than FLIGHTDECK_MAX_CONNECTIONS and FLIGHTDECK_MAX_SOCKETS ask for; \
                 connections beyond will wait; raise `ulimit -n`, or lower these"
            );
        }
    }
}

#[expect(clippy::print_stderr, reason = "there is no log yet, and a person waits")]
fn fail(problem: &str) -> ExitCode {
    eprintln!("flightdeck-server can't start: {problem}");
    ExitCode::FAILURE
}

fn log(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("FLIGHTDECK_LOG: `{}` is not a filter: {error}", config.log))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the person who started it reads")]
fn banner(config: &Config, running: &Running) {
    let url = running.url();
    let (mode, advice) = match config.environment {
        Environment::Development => {
            ("development", "accepts shortcuts from this machine; FLIGHTDECK_ENV=production accepts none")
        }
        Environment::Production => ("production", "accepts no shortcut"),
    };
    let database = if config.database_url.is_none() {
        format!("{}", config.data_dir.join("flightdeck.db").display())
    } else if config.uses_sqlite() {
        "SQLite, as DATABASE_URL says".to_owned()
    } else {
        "PostgreSQL, as DATABASE_URL says".to_owned()
    };
    let chat = match AgentAccess::new(config.environment, config.host, &config.agent_workspaces) {
        AgentAccess::Workspaces(ids) if ids.is_empty() => {
            "not before FLIGHTDECK_AGENT_WORKSPACES says whose devices may".to_owned()
        }
        _ => format!("flightdeck chat --url {url}"),
    };
    let hub = running.hub_url().map_or_else(String::new, |hub| format!("  Hub          {hub}\n"));
    println!(
        "\nFlightdeck {}\n\n  Listening on {url}\n{hub}  API          {url}/docs\n  Mode         {mode} ({advice})\n  \
         Database     {database}\n  Data         {}\n\nNext: build the CLI (cargo build -p flightdeck-cli), and in a project where an agent works run\n\n  \
         flightdeck pair --url {url}        (--self, if there is no phone at hand)\n  flightdeck install claude-code\n\nOr talk with an agent that this server runs: {chat}\n",
        env!("CARGO_PKG_VERSION"),
        config.data_dir.display(),
    );
}

/// Completes at the first SIGINT or SIGTERM; a second one ends the process at once.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            std::process::exit(130);
        });
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

//! The command line of the generator. Everything is in the library, so that tests can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    flightdeck_codegen::cli::main()
}

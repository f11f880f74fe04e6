//! The program of the ingest function.

use std::process::ExitCode;

fn main() -> ExitCode {
    notaflux_lambda::ingest::main()
}

//! The program of the query function.

use std::process::ExitCode;

fn main() -> ExitCode {
    notaflux_lambda::query::main()
}

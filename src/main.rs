//! The program `notaflux`.

use std::process::ExitCode;

use clap::Parser;
use notaflux::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("notaflux: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // Dropping the runtime would wait for a pending read of standard input.
    runtime.shutdown_background();
    code
}

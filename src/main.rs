//! The command line.

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
    // Not dropped, which would wait for a read of standard input that nobody wants any more.
    runtime.shutdown_background();
    code
}

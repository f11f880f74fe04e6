//! The command line.

use std::process::ExitCode;

use clap::Parser;
use notaflux::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    notaflux::logs::for_people();
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("notaflux: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Where log lines go and what they look like.

use tracing_subscriber::EnvFilter;

/// One JSON object a line on standard output, for functions. `RUST_LOG` chooses what is logged; `info` by default.
pub fn as_json() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_target(false).init();
}

/// Lines for people on standard error. `RUST_LOG` chooses what is logged; errors and our own warnings by default.
pub fn for_people() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,notaflux=warn,s3s=off"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false).init();
}

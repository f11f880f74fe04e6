//! Prints on standard output.

use std::fmt;
use std::io::{self, Write as _};

use notaflux_aws::{EMBEDDED_KEYS, EMBEDDED_REGION};
use notaflux_local::Endpoints;

/// Prints a line of a result on standard output.
pub(crate) fn print_line(line: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Prints how to use the embedded services with the AWS command line and the SDKs.
pub(crate) fn print_aws_variables(endpoints: &Endpoints) -> io::Result<()> {
    let (access_key, secret_key) = EMBEDDED_KEYS;
    print_line("For the AWS command line and the SDKs:")?;
    print_line(format!("   export AWS_ENDPOINT_URL={} AWS_REGION={EMBEDDED_REGION}", endpoints.aws))?;
    print_line(format!("   export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}"))
}

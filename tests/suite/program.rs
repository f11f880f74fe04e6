//! The command line as a real process.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use notaflux_aws::{EMBEDDED_KEYS, EMBEDDED_REGION};
use notaflux_local::{Endpoints, running};

use crate::support::process::{peak_memory_kib, send_signal};

/// Longest wait for an action of a process: many times the usual time, for busy machines.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// Returns the command `notaflux` with these arguments. Its environment has only the settings for an endpoint.
pub(crate) fn notaflux(arguments: &[&str], endpoint: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_suite-notaflux"));
    command.args(arguments).env_clear().env("AWS_REGION", EMBEDDED_REGION).env("AWS_ACCESS_KEY_ID", EMBEDDED_KEYS.0);
    command.env("AWS_SECRET_ACCESS_KEY", EMBEDDED_KEYS.1).envs(endpoint.map(|url| ("AWS_ENDPOINT_URL", url)));
    command
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str], endpoint: Option<&str>) -> Output {
    notaflux(arguments, endpoint).output().unwrap()
}

/// A process that is killed at the end of the test, also after a failure.
pub(crate) struct Program(Child);

impl Program {
    /// Starts the process. Its outputs go to files in `folder` named after `name`.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let file = |kind| Stdio::from(fs::File::create(folder.join(format!("{name}.{kind}"))).unwrap());
        Self(command.stdout(file("out")).stderr(file("err")).spawn().unwrap())
    }

    /// Sends a signal by name, such as TERM.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.0.id(), name);
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Returns the peak memory of the process in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        peak_memory_kib(self.0.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Polls a condition; fails the test if it does not become true in time.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < WAIT_LIMIT, "waited too long until {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Waits for the API of the server that uses `folder`, and returns the server's endpoints.
pub(crate) fn endpoints(folder: &Path) -> Endpoints {
    let mut found = None;
    wait_until("the server reports its address", || {
        found = running(folder).ok().flatten().filter(|endpoints| endpoints.api.is_some());
        found.is_some()
    });
    found.unwrap()
}

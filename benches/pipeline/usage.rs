//! The resources that the process has used, according to the kernel.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Returns user and system time of all threads so far.
pub fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Returns the peak resident memory. (The value of `getrusage` includes the process that started this one.)
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Measures time from its creation to its report.
pub struct Usage {
    began: Instant,
    cpu: Duration,
}

impl Usage {
    pub fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    /// Prints the line of an import, with additional values.
    pub fn tell(&self, records: u64, bytes: u64, parts: &[(&str, Duration)]) {
        let mut told = json!({
            "records": records,
            "bytes": bytes,
            "cpu_s": (cpu() - self.cpu).as_secs_f64(),
            "wall_s": self.began.elapsed().as_secs_f64(),
            "peak_kib": peak_kib(),
        });
        for (name, time) in parts {
            told[*name] = Value::from(time.as_secs_f64());
        }
        println!("{told}");
    }
}

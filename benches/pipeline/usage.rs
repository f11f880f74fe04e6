//! What the process has taken, as the kernel counts it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// User and system time so far, of all threads.
pub fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Most memory that was resident. (That of `getrusage` begins with the process that started this one.)
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Takes time until it is told.
pub struct Usage {
    began: Instant,
    cpu: Duration,
}

impl Usage {
    pub fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    /// The line that every import prints, with what else there is to say.
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

//! Other processes: their memory, and signals to them.

use std::fs;
use std::process::Command;

/// What the kernel calls the high-water mark of a process, in KiB.
pub fn peak_memory_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a signal by its name. Every shell can; not every machine has a program that does. A process that has ended
/// takes none.
pub fn send_signal(process: u32, name: &str) {
    Command::new("sh").args(["-c", &format!("kill -s {name} {process} 2>/dev/null")]).status().unwrap();
}

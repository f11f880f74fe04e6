//! The memory of other processes, and signals to them.

use std::fs;
use std::process::Command;

/// Returns the peak memory of a process in KiB (the kernel's high-water mark).
pub fn peak_memory_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a signal by name, with the shell's `kill`: not every machine has a program for it. Does nothing to a process
/// that has ended.
pub fn send_signal(process: u32, name: &str) {
    Command::new("sh").args(["-c", &format!("kill -s {name} {process} 2>/dev/null")]).status().unwrap();
}

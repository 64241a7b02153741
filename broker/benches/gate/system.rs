//! What the kernel says of a process.

use std::{fs, path::Path, time::Duration};

/// User and system time of all its threads so far. By the scheduler, to the nanosecond: `/proc/*/stat` counts
/// hundredths of a second, which is a fifth of what a tenth of a fleet costs.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.map(|thread| run_time(&thread.unwrap().path().join("schedstat"))).sum()
}

/// The same of one thread, from its `schedstat`.
pub(crate) fn run_time(schedstat: &Path) -> Duration {
    // A thread may end while it is looked at.
    let stat = fs::read_to_string(schedstat).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().next().map_or(0, |ns| ns.parse().unwrap()))
}

/// Resident memory.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

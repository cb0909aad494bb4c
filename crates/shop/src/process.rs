//! What a process of the shop knows of itself, read from `/proc`; absent where there is none.

use std::fs;

/// Bytes of memory that are really held (resident set).
pub(crate) fn resident_bytes() -> Option<u64> {
    resident_from_status(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Seconds of processor time so far: in user code, in the kernel.
pub(crate) fn processor_seconds() -> Option<(f64, f64)> {
    processor_from_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The host's name.
pub(crate) fn host_name() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    read.map(|name| name.trim().to_owned()).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

fn resident_from_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Fields 14 and 15, counted from behind the command's name, which may hold spaces. Linux tells user space a
/// hundred ticks a second whatever the kernel's own rate.
fn processor_from_stat(stat: &str) -> Option<(f64, f64)> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user / TICKS_PER_SECOND, system / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(resident_from_status("Name:\tx\nVmRSS:\t   12 kB\nThreads:\t3\n"), Some(12 * 1024));
        assert_eq!(resident_from_status("Name:\tx\n"), None);
        let stat = "1 (a b) c) S 0 1 1 0 -1 4194560 1 2 3 4 250 50 5 6 20 0 1 0 1 1 1";
        assert_eq!(processor_from_stat(stat), Some((2.5, 0.5)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_host() {
        assert!(resident_bytes().unwrap() > 500_000);
        assert!(processor_seconds().is_some());
        assert!(!host_name().is_empty());
    }
}

//! Signals, and what the kernel says about a process.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;

pub fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("signalled");
}

/// A field of `/proc/{id}/status`, where `id` may also name a thread.
pub fn status_field(id: &str, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Waits until a process has acted on the signals that it was sent: none is pending, and every thread
/// waits for something else. One look is not enough, for a thread wakes the next one.
pub fn wait_until_idle(child: &Child) {
    let mut looks = 0;
    wait_until("the process to be idle", || {
        looks = if is_idle(child) { looks + 1 } else { 0 };
        looks == 5
    });
}

fn is_idle(child: &Child) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs");
    threads.flatten().all(|thread| {
        let id = format!("{}/task/{}", child.id(), thread.file_name().display());
        let field = |name| status_field(&id, name).unwrap_or_default();
        let is_zero = |set: String| set.bytes().all(|digit| digit == b'0');
        field("State").starts_with('S') && is_zero(field("SigPnd")) && is_zero(field("ShdPnd"))
    })
}

/// Whether a set of signals, as the kernel prints it, has one of them.
fn has(set: &str, signal: Signal) -> bool {
    let set = u64::from_str_radix(set, 16).expect("a set of signals");
    set & (1 << (signal.as_raw() - 1)) != 0
}

/// Whether a process has a handler for a signal.
pub fn handles(child: &Child, signal: Signal) -> bool {
    let caught = status_field(&child.id().to_string(), "SigCgt").expect("a running process");
    has(&caught, signal)
}

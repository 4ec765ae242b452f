//! The convo program; the library does all the work.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What a webhook needs is allocated by one thread and freed by another. glibc's allocator takes several
/// times as long for that, and a server a fifth more processor time for a webhook.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    convo::run(std::env::args_os())
}

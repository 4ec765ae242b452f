//! The convo program. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    convo::run(std::env::args_os())
}

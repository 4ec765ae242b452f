//! A question at the terminal, before something is changed.

use std::io::{self, BufRead, Write};

use crate::stdio;

/// Asks, and returns whether the person says yes. The question goes to standard error.
pub(super) fn confirmed(question: &str) -> bool {
    let mut err = stdio::stderr();
    let _ = write!(err, "{question} [y/N] ");
    let _ = err.flush();
    let mut typed = String::new();
    let read = io::stdin().lock().read_line(&mut typed);
    let typed = typed.trim();
    read.is_ok() && (typed.eq_ignore_ascii_case("y") || typed.eq_ignore_ascii_case("yes"))
}

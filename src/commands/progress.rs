//! Progress bars on standard error, for what takes long.

use std::fmt;
use std::io::{self, IsTerminal};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Redraws per second.
const FRAMES: u8 = 10;

/// A bar of a length that is set later, hidden unless standard error is a terminal. In the template,
/// `{rate}` is how many units are done in a second.
pub(super) fn bar(template: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(FRAMES)
    } else {
        ProgressDrawTarget::hidden()
    };
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
    };
    let style = ProgressStyle::with_template(template).map(|s| s.with_key("rate", rate));
    let bar = ProgressBar::with_draw_target(Some(0), target);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

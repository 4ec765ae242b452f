//! What the tests of the program share: running it, serving with it, playing Telnyx to it.

mod program;
mod server;
mod stand_in;
mod terminal;
mod tmux;
mod webhook;
mod world;

use std::time::{Duration, Instant};

pub use program::{Done, Home, Running};
pub use server::{Answer, LINES, Server};
pub use stand_in::StandIn;
pub use terminal::OnTerminal;
pub use tmux::{Tmux, WITNESS};
pub use webhook::{Signer, inbound};
pub use world::{CONTACT, OWN, World};

/// No wait in these tests may take longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The moment in Unix seconds, as Telnyx puts it on its webhooks.
pub fn seconds() -> i64 {
    convo::clock::now().as_micros() / 1_000_000
}

/// Whether a text is the id of something.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}

//! The signs that stand beside words, and their stand-ins where a terminal may not have them.

use crate::domain::{Direction, Status};

/// The signs that convo uses. No meaning hangs on a sign alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    inbound: &'static str,
    outbound: &'static str,
    good: &'static str,
    bad: &'static str,
    waiting: &'static str,
    /// Parts two facts on one line.
    pub dot: &'static str,
    /// Stands for what was cut off.
    pub cut: &'static str,
}

impl Glyphs {
    /// For any terminal of today.
    pub const RICH: Self =
        Self {
            inbound: "←", outbound: "→", good: "✓", bad: "✗", waiting: "…", dot: "·", cut: "…"
        };
    /// For a terminal that calls itself dumb: what every keyboard has.
    pub const PLAIN: Self = Self {
        inbound: "<",
        outbound: ">",
        good: "+",
        bad: "x",
        waiting: "~",
        dot: "-",
        cut: "...",
    };

    /// The sign of a direction: `←` comes in, `→` goes out. One column.
    #[must_use]
    pub fn arrow(self, direction: Direction) -> &'static str {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// The sign of how a message of ours fares. One column; nothing for one of the contact's.
    #[must_use]
    pub fn mark(self, status: Status) -> &'static str {
        match status {
            Status::Received => "",
            Status::Unknown => "?",
            Status::Sent | Status::DeliveryUnconfirmed | Status::Delivered | Status::Read => {
                self.good
            }
            failed if failed.is_failure() => self.bad,
            _ => self.waiting,
        }
    }
}

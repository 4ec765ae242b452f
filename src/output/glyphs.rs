//! The symbols shown beside words, and their ASCII replacements for plain terminals.

use crate::domain::{Direction, Status};

/// The symbols that convo uses. None carries a meaning that words do not repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    inbound: &'static str,
    outbound: &'static str,
    good: &'static str,
    bad: &'static str,
    waiting: &'static str,
    /// Marks a conversation with unread messages. One column.
    pub unread: &'static str,
    /// Separates two items on one line.
    pub dot: &'static str,
    /// Marks text that was cut off.
    pub cut: &'static str,
    /// A part of a bar in a chart. One column.
    pub bar: &'static str,
}

impl Glyphs {
    /// For any modern terminal.
    pub const RICH: Self = Self {
        inbound: "←",
        outbound: "→",
        good: "✓",
        bad: "✗",
        waiting: "…",
        unread: "●",
        dot: "·",
        cut: "…",
        bar: "▇",
    };
    /// For `TERM=dumb`: ASCII only.
    pub const PLAIN: Self = Self {
        inbound: "<",
        outbound: ">",
        good: "+",
        bad: "x",
        waiting: "~",
        unread: "*",
        dot: "-",
        cut: "...",
        bar: "#",
    };

    /// Success. One column.
    #[must_use]
    pub fn good(self) -> &'static str {
        self.good
    }

    /// Failure. One column.
    #[must_use]
    pub fn bad(self) -> &'static str {
        self.bad
    }

    /// The arrow of a direction: `←` inbound, `→` outbound. One column.
    #[must_use]
    pub fn arrow(self, direction: Direction) -> &'static str {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// The symbol of a status. One column; empty for an inbound message.
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

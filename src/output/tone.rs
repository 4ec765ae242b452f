//! The few text styles convo uses, from the terminal's own sixteen colours, so that they are readable
//! on light and dark backgrounds. No meaning is carried by colour alone.

use anstyle::{AnsiColor, Style};

/// The role of a piece of output, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ordinary text.
    Plain,
    /// A heading, a name.
    Strong,
    /// Secondary.
    Quiet,
    /// Succeeded.
    Good,
    /// A warning, or an unknown outcome.
    Doubt,
    /// Failed.
    Bad,
    /// Our own side of a conversation.
    Own,
    /// What was searched for.
    Hit,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Quiet => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Doubt => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Own => AnsiColor::Cyan.on_default(),
            Self::Hit => AnsiColor::Magenta.on_default().bold(),
        }
    }

    /// The text in this tone, or plain where there is no colour.
    pub(super) fn paint(self, text: &str, color: bool) -> String {
        if !color || text.is_empty() || self == Self::Plain {
            return text.to_owned();
        }
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

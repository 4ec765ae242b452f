//! What help and manual pages say about a command besides its arguments, and the first screen of
//! `convo -h`.

use std::fmt::Write;

use clap::Command;
use clap::builder::styling::Style;
use clap::builder::{CommandExt, Styles};

/// Headings and literals are bold. There are no colours, which might not suit the background.
pub(crate) const STYLES: Styles = Styles::styled().header(BOLD).usage(BOLD).literal(BOLD);
const BOLD: Style = Style::new().bold();

/// The texts about a command, which its file attaches to its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HelpText {
    /// Examples, as `--help` shows them below the options.
    pub examples: &'static str,
    /// The description in `--help` and in the manual page: paragraphs separated by empty lines.
    pub description: &'static str,
    /// What the command prints, for the manual page; indented lines are kept as they are.
    pub output: &'static str,
}

impl CommandExt for HelpText {}

/// The heading under which the first screen lists a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Read,
    Send,
    Run,
    /// Commands that are rarely needed, listed by name only.
    More,
}

impl CommandExt for Group {}

impl Group {
    fn commands(self, program: &Command) -> impl Iterator<Item = &Command> {
        let is_in_group = move |command: &&Command| command.get::<Self>() == Some(&self);
        program.get_subcommands().filter(is_in_group)
    }
}

/// What each exit code means.
pub(crate) const EXIT_CODES: [(&str, &str); 10] = [
    ("0", "Done, even if there was nothing to print."),
    ("1", "An unexpected failure."),
    ("2", "Wrong usage or invalid input."),
    ("3", "No such conversation or message."),
    ("4", "Not configured or not allowed: a key or the database is missing, or a key was refused."),
    ("5", "Temporarily unavailable, and definitely not sent: it is safe to try again."),
    ("6", "Refused, or failed permanently."),
    ("7", "The contact has opted out."),
    ("8", "Timed out before the status was final, or before an answer came."),
    (
        "9",
        "The outcome is unknown: it may have been sent. Repeat it only with the printed idempotency \
         key.",
    ),
];

/// Completes the help of the program and of its commands: `-h` is a summary, and `--help` adds the
/// description and the exit codes.
pub(crate) fn with_help(program: Command) -> Command {
    let program = with_first_screen(program).mut_subcommands(with_long_help);
    let Some(text) = program.get::<HelpText>().copied() else { return program };
    program.after_long_help(format!("{}\n\n{}", text.examples, exit_codes()))
}

fn with_long_help(command: Command) -> Command {
    let command = command.mut_subcommands(with_long_help);
    let Some(text) = command.get::<HelpText>().copied() else { return command };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut after = text.examples.to_owned();
    if !text.output.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(after, "\n\n{BOLD}Output:{BOLD:#}\n{}", text.output);
    }
    let _ = write!(after, "\n\n{}", exit_codes());
    command.long_about(format!("{about}\n\n{}", text.description)).after_long_help(after)
}

fn exit_codes() -> String {
    let rows = EXIT_CODES.map(|(code, meaning)| format!("\n  {code}  {meaning}"));
    format!("{BOLD}Exit codes:{BOLD:#}{}", rows.concat())
}

/// How wide the lines of the first screen may be, without their indentation.
const SCREEN_WIDTH: usize = 78;

/// Gives the program its first screen. clap can neither group commands nor print an option on one
/// line, and the screen must fit into a terminal of 24 rows.
fn with_first_screen(program: Command) -> Command {
    let mut screen = "{name} - {about}\n{usage-heading} {usage}\n".to_owned();
    for group in [Group::Read, Group::Send, Group::Run] {
        heading(&mut screen, &format!("{group:?}"));
        for command in group.commands(&program) {
            row(&mut screen, command.get_name(), "", 7, command.get_about());
        }
    }
    heading(&mut screen, "More");
    let names: Vec<_> = Group::More.commands(&program).map(Command::get_name).collect();
    for line in textwrap::wrap(&names.join(", "), SCREEN_WIDTH) {
        // Writing to a string cannot fail.
        let _ = writeln!(screen, "  {BOLD}{line}{BOLD:#}");
    }
    heading(&mut screen, "Options");
    for option in program.get_arguments() {
        let name = format!("--{}", option.get_long().unwrap_or_default());
        let takes_value = option.get_action().takes_values();
        let value = option.get_value_names().filter(|_| takes_value).unwrap_or_default().first();
        let value = value.map(|value| format!(" <{value}>")).unwrap_or_default();
        row(&mut screen, &name, &value, 14, option.get_help());
    }
    let help = "Print help, briefly or in full (-V: the version)".into();
    row(&mut screen, "-h, --help", "", 14, Some(&help));
    program.help_template(format!("{}{{after-help}}", screen.trim_end()))
}

fn heading(screen: &mut String, name: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(screen, "{BOLD}{name}:{BOLD:#}");
}

fn row(
    screen: &mut String,
    name: &str,
    value: &str,
    width: usize,
    meaning: Option<&clap::builder::StyledStr>,
) {
    let meaning = meaning.map(ToString::to_string).unwrap_or_default();
    let pad = width.saturating_sub(name.len() + value.len());
    let _ = writeln!(screen, "  {BOLD}{name}{BOLD:#}{value}{:pad$}  {meaning}", "");
}

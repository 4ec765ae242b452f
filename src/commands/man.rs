//! A manual page: what clap knows about a command, its [`HelpText`], and what all commands share.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::{EXIT_CODES, HelpText, PROGRAM};
use crate::config::VARIABLES;

/// Variables that are read only from the environment, never from files.
const TERMINAL: &[(&str, &str)] = &[
    ("NO_COLOR, CLICOLOR_FORCE", "Never or always use colour, unless --color says otherwise."),
    ("TERM", "If it is dumb: no colour, no pager, and only ASCII symbols."),
    (
        "CONVO_PAGER, PAGER",
        "The pager for tables and chats longer than the screen; the first takes precedence over the \
         second, and the default is less. An empty value or cat means no pager.",
    ),
    (
        "VISUAL, EDITOR",
        "The editor for send --edit; the first takes precedence. The default is vi.",
    ),
    ("LESS", "Options for less. By default FRX. convo adds -R, and +G for a chat."),
    ("TZ", "The local time zone, such as Europe/Berlin, if it is not that of the system."),
    ("COLUMNS", "The width of a table that is not printed to a terminal. By default 80."),
];

const FILES: [(&str, &str); 6] = [
    (
        ".env",
        "The variables of the first list above, one NAME=VALUE per line. It is searched for in the \
         working directory and its parents. The environment takes precedence over it. Secrets from \
         other sources are never sent to an address in it.",
    ),
    (
        "$XDG_CONFIG_HOME/convo/env, by default ~/.config/convo/env",
        "The same, for all directories. .env takes precedence over it.",
    ),
    ("/etc/convo/convo.env", "The same, for all users; the other files take precedence over it."),
    ("conversations.db", "The default database, in the working directory."),
    ("sandbox.db", "The database of --sandbox, in the working directory."),
    ("sandbox.key", "The private key with which the sandbox signs, for convo webhook; beside it."),
];

/// The definition of apostrophes for roff, which clap_mangen repeats before every section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// The page of a command that was built as part of the whole program.
pub(super) fn page(command: &clap::Command) -> String {
    let has_actions = command.has_subcommands();
    let text = command.get::<HelpText>();
    let man = Man::new(command.clone())
        .source(format!("convo {}", env!("CARGO_PKG_VERSION")))
        .manual("convo manual");
    let mut page = rendered(|out| man.render_title(out));
    page += &rendered(|out| man.render_name_section(out));
    page += &synopsis(command).to_roff();
    let mut description = Roff::new();
    section(&mut description, "DESCRIPTION", text.map_or("", |text| text.description));
    page += &description.to_roff();
    page += &rendered(|out| man.render_options_section(out));
    if has_actions {
        page += &rendered(|out| man.render_subcommands_section(out));
    }
    page += &closing(command, text).to_roff();
    format!("{PREAMBLE}{page}")
}

/// How the command is written: its options in general, each argument by its name.
fn synopsis(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name), roman(" ["), italic("OPTION"), roman("]...")];
    if command.has_subcommands() {
        let what = command.get_subcommand_value_name().unwrap_or("COMMAND");
        line.extend([roman(" "), italic(what), roman(" ["), italic("ARGUMENT"), roman("]...")]);
    }
    for argument in command.get_positionals() {
        let name = argument.get_value_names().and_then(|names| names.first());
        let name = name.map_or_else(|| argument.get_id().as_str(), |name| name.as_str());
        let (open, close) = if argument.is_required_set() { ("", "") } else { ("[", "]") };
        let several = argument.get_num_args().is_some_and(|count| count.max_values() > 1);
        let more = if several { "..." } else { "" };
        line.extend([roman(format!(" {open}")), italic(name), roman(format!("{more}{close}"))]);
    }
    roff.text(line);
    if command.get_name() == PROGRAM {
        let help = [bold("convo help"), roman(" ["), italic("COMMAND"), roman("]")];
        roff.control("br", []).text(help);
    }
    roff
}

/// One section as clap_mangen renders it. Writing to memory cannot fail.
fn rendered(section: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    let written = section(&mut bytes);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8_lossy(&bytes).replace(PREAMBLE, "")
}

/// The sections after the options.
fn closing(command: &clap::Command, text: Option<&HelpText>) -> Roff {
    let mut roff = Roff::new();
    section(&mut roff, "OUTPUT", text.map_or("", |text| text.output));
    roff.control("SH", ["EXIT STATUS"]);
    entries(&mut roff, EXIT_CODES);
    roff.control("SH", ["ENVIRONMENT"]);
    entries(&mut roff, VARIABLES.iter().map(|variable| (variable.name, variable.meaning)));
    roff.control("PP", []).text([roman(secrets())]);
    roff.control("PP", []).text([roman("Only from the environment, not from files:")]);
    entries(&mut roff, TERMINAL.iter().copied());
    roff.control("SH", ["FILES"]);
    entries(&mut roff, FILES);
    let examples = text.map_or("", |text| text.examples);
    section(&mut roff, "EXAMPLES", examples.strip_prefix("Examples:\n").unwrap_or(examples));
    roff.control("SH", ["SEE ALSO"]).text(see_also(command));
    roff
}

/// A section of paragraphs; indented ones are kept as they are. Without a text, there is no section.
fn section(roff: &mut Roff, title: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for paragraph in text.split("\n\n") {
        if paragraph.starts_with("  ") {
            roff.control("PP", []).control("nf", []);
            for line in paragraph.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else {
            roff.control("PP", []).text([roman(paragraph)]);
        }
    }
}

fn entries(roff: &mut Roff, terms: impl IntoIterator<Item = (&'static str, &'static str)>) {
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
}

fn secrets() -> String {
    let secrets = VARIABLES.iter().filter(|variable| variable.is_secret);
    let names: Vec<_> = secrets.map(|variable| variable.name).collect();
    format!(
        "An empty variable counts as unset. A file may hold the value of a secret: NAME_FILE is then \
         its path. The secrets are {}.",
        names.join(", ")
    )
}

fn see_also(command: &clap::Command) -> Vec<Inline> {
    let names = command.get_subcommands().filter(|other| !other.is_hide_set());
    let own = command.get_display_name().unwrap_or(PROGRAM);
    let names: Vec<_> = names.map(|other| format!("{own}-{}", other.get_name())).collect();
    let names = if names.is_empty() { vec!["convo".to_owned()] } else { names };
    let last = names.len() - 1;
    let entry = |(at, name): (usize, String)| {
        let end = if at == last { "(1)" } else { "(1), " };
        [bold(name), roman(end)]
    };
    names.into_iter().enumerate().flat_map(entry).collect()
}

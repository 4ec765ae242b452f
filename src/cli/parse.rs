//! Parses a command line, and says in convo's own words what is wrong with it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Parser, ValueEnum};

use super::{PROGRAM, with_help};
use crate::error::Error;
use crate::output::{ColorChoice, Format};

/// The formats that make errors JSON, too.
const JSON_FORMATS: [&str; 2] = ["json", "jsonl"];

/// A parsed command line.
#[derive(Clone, Debug)]
pub struct Parsed<C> {
    /// The arguments.
    pub cli: C,
    /// Whether errors are to be printed as JSON.
    pub json: bool,
}

/// Why there is no command to run.
#[derive(Debug)]
pub enum ParseError {
    /// clap prints help or the version, as requested, or because there is no command.
    Show(clap::Error),
    /// The arguments are invalid.
    Usage {
        /// What is wrong with them.
        error: Error,
        /// Whether to print the error as JSON.
        json: bool,
    },
}

/// Parses a command line that begins with the name of the program.
///
/// # Errors
/// [`ParseError`] when there is nothing to run.
pub fn parse<C: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Parsed<C>, ParseError> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let mut program = with_help(C::command());
    let parsed = program.try_get_matches_from_mut(&args);
    let matches = parsed.map_err(|error| parse_error(error, &program, &args))?;
    let json = requests_json(&matches);
    let is_escaped = args.iter().any(|arg| arg == "--");
    let wrong = inapplicable_option(&program, &matches)
        .or_else(|| mistyped_option(&program, &matches).filter(|_| !is_escaped));
    if let Some(error) = wrong {
        return Err(ParseError::Usage { error, json });
    }
    match C::from_arg_matches(&matches) {
        Ok(cli) => Ok(Parsed { cli, json }),
        Err(error) => Err(parse_error(error.format(&mut program), &program, &args)),
    }
}

/// When to use colour, as far as the words of a command line say. Help and the log need to know
/// before or without a parsed command line.
#[must_use]
pub fn color_choice(args: &[OsString]) -> ColorChoice {
    let words: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    let separate =
        words.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1].to_str());
    let joined = words.iter().map(|word| word.to_str()?.strip_prefix("--color="));
    let given = separate.chain(joined).flatten();
    let choices = given.filter_map(|word| ColorChoice::from_str(word, false).ok());
    choices.reduce(|_, later| later).unwrap_or_default()
}

/// The names of the command and of its action, if it has some, and what was given to the last of them.
fn deepest(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut names, mut last) = (Vec::new(), matches);
    while let Some((name, inner)) = last.subcommand() {
        names.push(name);
        last = inner;
    }
    (names, last)
}

/// The command of some names: each is an action of the one before.
fn find_command<'a>(program: &'a Command, names: &[&str]) -> Option<&'a Command> {
    names.iter().try_fold(program, |command, name| command.find_subcommand(name))
}

/// The name of a command as it is typed, without that of the program.
fn typed_name(names: &[&str]) -> String {
    names.join(" ")
}

/// Whether the command has been asked for JSON. Its options mean the same in every command.
fn requests_json(matches: &ArgMatches) -> bool {
    let (_, command) = deepest(matches);
    let flag = command.try_get_one::<bool>("json").ok().flatten();
    let format = command.try_get_one::<Format>("format").ok().flatten();
    flag.is_some_and(|json| *json) || format.is_some_and(|format| format.is_json())
}

/// Whether arguments that could not be parsed ask for JSON.
fn words_request_json(args: &[OsString]) -> bool {
    let words: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    let is_json = |word: &OsString| word.to_str().is_some_and(|word| JSON_FORMATS.contains(&word));
    let in_one_word = |word: &OsString| {
        let format = word.to_str().and_then(|word| word.strip_prefix("--format="));
        word == "--json" || format.is_some_and(|format| JSON_FORMATS.contains(&format))
    };
    words.iter().any(|word| in_one_word(word))
        || words.windows(2).any(|pair| pair[0] == "--format" && is_json(pair[1]))
}

fn parse_error(error: clap::Error, program: &Command, args: &[OsString]) -> ParseError {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ParseError::Show(error),
        _ => ParseError::Usage {
            error: reworded(&error, program, args),
            json: words_request_json(args),
        },
    }
}

/// The names of the command and of its action among the words of a command line.
fn typed_command<'a>(program: &'a Command, args: &[OsString]) -> Vec<&'a str> {
    let (mut names, mut last) = (Vec::new(), program);
    for arg in args.iter().skip(1) {
        if let Some(command) = last.find_subcommand(arg) {
            names.push(command.get_name());
            last = command;
        }
    }
    names
}

/// clap's message without its frame: the first paragraph is the message, the tips are the hint.
fn reworded(error: &clap::Error, program: &Command, args: &[OsString]) -> Error {
    let names = typed_command(program, args);
    let command = find_command(program, &names).filter(|_| !names.is_empty());
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some(name) = argument.strip_prefix("--")
        && let Some(option) = program.get_arguments().find(|arg| arg.get_long() == Some(name))
        && command.is_some()
    {
        return not_accepted(program, &names, option);
    }
    let rendered = error.render().to_string();
    let lines = || rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_end = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let is_tip = |line: &&str| line.starts_with("tip: ");
    let message: Vec<_> = lines().take_while(|line| !is_end(line) && !is_tip(line)).collect();
    let message = message.join(" ");
    let tips: Vec<_> = lines().filter_map(|line| line.strip_prefix("tip: ")).collect();
    let hint = suggestion(error).unwrap_or_else(|| match (tips.is_empty(), command) {
        (false, _) => tips.join("; "),
        (true, Some(_)) => format!("see '{PROGRAM} {} --help'", typed_name(&names)),
        (true, None) => format!("see '{PROGRAM} --help'"),
    });
    Error::invalid(message.strip_prefix("error: ").unwrap_or(&message)).hint(hint)
}

/// clap's guess at what was meant; of several, the last is the most likely.
fn suggestion(error: &clap::Error) -> Option<String> {
    use ContextKind::{SuggestedArg, SuggestedSubcommand, SuggestedValue};
    let kinds = [SuggestedSubcommand, SuggestedArg, SuggestedValue];
    let meant = match kinds.into_iter().find_map(|kind| error.get(kind))? {
        ContextValue::String(meant) => meant,
        ContextValue::Strings(several) => several.last()?,
        _ => return None,
    };
    Some(format!("did you mean '{meant}'?"))
}

/// Refuses an option of the program, given before the command, that this command does not have.
fn inapplicable_option(program: &Command, matches: &ArgMatches) -> Option<Error> {
    let (names, _) = deepest(matches);
    let command = find_command(program, &names).filter(|_| !names.is_empty())?;
    let is_given = |option: &&Arg| {
        matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let mut given = program.get_arguments().filter(is_given);
    let option = given.find(|option| !accepts(command, option))?;
    Some(not_accepted(program, &names, option))
}

fn accepts(command: &Command, option: &Arg) -> bool {
    command.get_arguments().any(|own| own.get_id() == option.get_id())
}

fn not_accepted(program: &Command, names: &[&str], option: &Arg) -> Error {
    let name = option.get_long().unwrap_or_default();
    let is_accepted = |command: &&Command| {
        let mut actions = command.get_subcommands();
        accepts(command, option) || actions.any(|action| accepts(action, option))
    };
    let others = program.get_subcommands().filter(is_accepted);
    let others: Vec<_> = others.map(Command::get_name).collect();
    Error::invalid(format!("{PROGRAM} {} does not accept --{name}", typed_name(names)))
        .hint(format!("leave it out; the commands that accept it are {}", others.join(", ")))
}

/// Refuses a text that is probably a mistyped option: a text may begin with a hyphen, but a typo
/// must not be sent to somebody's phone.
fn mistyped_option(program: &Command, matches: &ArgMatches) -> Option<Error> {
    let (names, given) = deepest(matches);
    let command = find_command(program, &names)?;
    let name = typed_name(&names);
    let texts = command.get_positionals().filter(|text| text.is_allow_hyphen_values_set());
    let mut texts = texts.filter_map(|text| given.get_one::<String>(text.get_id().as_str()));
    let typed = texts.find_map(|text| text.strip_prefix("--"))?;
    let word = typed.split('=').next().filter(|word| !word.contains(char::is_whitespace))?;
    let mut options = command.get_arguments().filter_map(Arg::get_long);
    let option = options.find(|option| !word.is_empty() && is_typo(word, option))?;
    Some(
        Error::invalid(format!("'--{typed}' is not an option of {PROGRAM} {name}"))
            .hint(format!("did you mean --{option}? To send it as a text, put -- before it")),
    )
}

/// Whether a word is the beginning of an option's name, or differs from it by one letter or by the
/// order of two.
fn is_typo(typed: &str, option: &str) -> bool {
    let is_beginning = typed.len() >= 3 && option.starts_with(typed);
    is_beginning || strsim::osa_distance(&typed.to_lowercase(), option) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_one_edit_or_a_missing_end() {
        for typed in ["dryrun", "dry_run", "dyr-run", "dry-runn", "DRY-RUN", "dry-", "dry-run"] {
            assert!(is_typo(typed, "dry-run"), "{typed}");
        }
        for typed in ["hello", "dr", "drrun", "ydr-run", "run"] {
            assert!(!is_typo(typed, "dry-run"), "{typed}");
        }
    }

    #[test]
    fn words_choose_the_colour() {
        let choice =
            |line: &str| color_choice(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["--color never --help", "send -h --color=never", "list --color never"] {
            assert_eq!(choice(line), ColorChoice::Never, "{line}");
        }
        assert_eq!(choice("list --color=always"), ColorChoice::Always);
        for line in ["list", "list --color", "list --color red", "send x -- --color=never"] {
            assert_eq!(choice(line), ColorChoice::Auto, "{line}");
        }
    }

    #[test]
    fn words_ask_for_json_unless_they_stand_after_the_last_option() {
        let asks = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            words_request_json(&words)
        };
        for line in ["sned x --json", "list --format json", "list --format=jsonl --limt"] {
            assert!(asks(line), "{line}");
        }
        for line in ["send x -- --json", "list --format csv", "list --format", "list json"] {
            assert!(!asks(line), "{line}");
        }
    }
}

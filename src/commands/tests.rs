//! Tests of the whole command line.

use clap::CommandFactory;

use super::Cli;
use crate::cli::{self, Group, HelpText, ParseError, Parsed, with_help};
use crate::error::{Code, Error};

const TO: &str = "+12125551234";

fn run(line: &[&str]) -> Result<Parsed<Cli>, ParseError> {
    cli::parse(std::iter::once("convo").chain(line.iter().copied()))
}

fn refused(line: &[&str]) -> (Error, bool) {
    match run(line).expect_err("must be refused") {
        ParseError::Usage { error, json } => (error, json),
        ParseError::Show(error) => panic!("{error}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_misspelt_option_is_not_sent() {
    for (typed, meant) in [
        ("--dryrun", "--dry-run"),
        ("--dry_run", "--dry-run"),
        ("--dyr-run", "--dry-run"),
        ("--idempotency=k", "--idempotency-key"),
        ("--JSON", "--json"),
        ("--form", "--from"),
        ("--sand", "--sandbox"),
    ] {
        let (error, _) = refused(&["send", TO, typed]);
        let message = format!("'{typed}' is not an option of convo send");
        assert_eq!(error.to_string(), message, "{typed}");
        let hint = error.hint_text().unwrap_or_default();
        assert!(hint.starts_with(&format!("did you mean {meant}?")), "{typed}: {hint}");
    }
}

#[test]
fn formats_and_limits() {
    for (line, is_json) in [
        (&["list"][..], false),
        (&["list", "--json"], true),
        (&["show", TO, "--format", "jsonl"], true),
        (&["show", TO, "--format", "csv"], false),
        (&["list", "--limit", "7"], false),
        (&["show", "e6f70819", "--all"], false),
        (&["send", TO, "Hi", "--json"], true),
        (&["send", TO, "--", "--json"], false),
        (&["copy", "a", "b", "--json"], true),
        (&["migrate"], false),
    ] {
        assert_eq!(run(line).expect("a good command line").json, is_json, "{line:?}");
    }
    for line in [
        &["list", "--limit", "0"][..],
        &["list", "--limit", "-1"],
        &["list", "--limit", "1", "--all"],
        &["list", "--json", "--format", "csv"],
        &["list", "--format", "lines"],
        &["show"],
        &["show", ""],
    ] {
        assert_eq!(refused(line).0.code(), Code::InvalidRequest, "{line:?}");
    }
}

#[test]
fn shared_options_stand_before_or_after_the_commands_that_accept_them() {
    let server = |line: &[&str]| {
        let Cli { backend, command, .. } = run(line).expect("a good command line").cli;
        super::merged(command.flags(), backend.flags()).server
    };
    let id = "0190a1b2-c3d4-7000-8000-5e6f70819203";
    for command in [&["list"][..], &["show", TO], &["send", TO, "Hi"], &["retry", id]] {
        for option in [&["--server", "http://h:1/"][..], &["--server=http://h:1"]] {
            for line in [[option, command].concat(), [command, option].concat()] {
                assert_eq!(server(&line).as_deref(), Some("http://h:1"), "{line:?}");
            }
        }
        let both = [&["--server", "http://before"], command, &["--server", "http://after"]];
        assert_eq!(server(&both.concat()).as_deref(), Some("http://after"));
        assert!(run(&[command, &["--color=never", "--utc", "--sandbox"]].concat()).is_ok());
    }
    assert!(run(&["serve", "--sandbox", "--listen", "[::1]:0"]).is_ok());
    assert!(run(&["--sandbox", "serve", "--color", "never"]).is_ok());
}

#[test]
fn an_option_that_a_command_does_not_accept_is_refused_in_either_position() {
    for command in [&["serve"][..], &["migrate"], &["copy", "a", "b"], &["sandbox"]] {
        let option = &["--server", "http://h:1"][..];
        for line in [[option, command].concat(), [command, option].concat()] {
            let (error, _) = refused(&line);
            let message = format!("convo {} does not accept --server", command[0]);
            assert_eq!(error.to_string(), message, "{line:?}");
            let hint = error.hint_text().unwrap_or_default();
            let others =
                hint.split_once("the commands that accept it are ").map(|(_, others)| others);
            let others: Vec<_> = others.unwrap_or_default().split(", ").collect();
            for (name, accepts) in [("list", true), ("config", true), (command[0], false)] {
                assert_eq!(others.contains(&name), accepts, "{name}: {hint}");
            }
        }
    }
    for line in [["--sandbox", "openapi"], ["openapi", "--sandbox"], ["--sandbox", "sandbox"]] {
        let (error, _) = refused(&line);
        assert!(error.to_string().ends_with("does not accept --sandbox"), "{line:?}: {error}");
    }
    let (error, json) = refused(&["copy", "a", "b", "--sandbox", "--json"]);
    assert_eq!((error.to_string().as_str(), json), ("convo copy does not accept --sandbox", true));
}

#[test]
fn an_invalid_value_is_answered_with_an_example() {
    for (line, example) in [
        (&["list", "--server", "localhost:5000"][..], "http://127.0.0.1:5000"),
        (&["serve", "--listen", "5000"], "127.0.0.1:5000"),
        (&["serve", "--listen", "::1:5000"], "[::1]:5000"),
        (&["send", TO, "Hi", "--at", "tomorrow"], "2026-11-22T15:00:00+02:00"),
        (&["list", "--limit", "0"], "1 or more"),
    ] {
        let (error, _) = refused(line);
        assert!(error.to_string().contains(example), "{line:?}: {error}");
    }
}

#[test]
fn mistakes_get_a_suggestion() {
    let (error, json) = refused(&["sned", TO, "--json"]);
    assert_eq!(error.to_string(), "unrecognized subcommand 'sned'");
    assert_eq!(error.hint_text(), Some("did you mean 'send'?"));
    assert!(json);
    for (line, meant) in [
        (&["shwo", TO][..], "'show'"),
        (&["list", "--limt", "3"], "'--limit'"),
        (&["list", "--format", "jsonn"], "'json'"),
    ] {
        let hint = refused(line).0.hint_text().map(str::to_owned);
        assert_eq!(hint, Some(format!("did you mean {meant}?")), "{line:?}");
    }
    let (error, json) = refused(&["send"]);
    assert_eq!(error.to_string(), "the following required arguments were not provided: <TO>");
    assert_eq!(error.hint_text(), Some("see 'convo send --help'"));
    assert!(!json);
}

#[test]
fn help_and_version_are_shown() {
    for (line, code) in [(&["--help"][..], 0), (&["send", "-h"], 0), (&["-V"], 0), (&[], 2)] {
        match run(line) {
            Err(ParseError::Show(shown)) => assert_eq!(shown.exit_code(), code, "{line:?}"),
            other => panic!("{line:?}: {other:?}"),
        }
    }
}

#[test]
fn the_first_screen_fits_and_is_complete() {
    let mut program = with_help(Cli::command());
    let screen = program.render_help().to_string();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let line = match command.get::<Group>().expect("a group") {
            Group::More => command.get_name().to_owned(),
            _ => format!("\n  {:<8} {about}\n", command.get_name()),
        };
        assert!(screen.contains(&line), "{line} is missing in {screen}");
    }
    let options = program.get_arguments().filter_map(clap::Arg::get_long);
    for option in options.filter(|option| *option != "version") {
        assert!(screen.contains(&format!("--{option} ")), "{option} is missing in {screen}");
    }
    assert!(screen.contains("-V: the version"), "{screen}");
    assert!(screen.lines().count() < 24, "{screen}");
    assert!(!screen.contains("Exit codes"), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
}

#[test]
fn short_help_is_a_summary_of_long_help() {
    let shown = |line: &[&str]| match run(line) {
        Err(ParseError::Show(shown)) => shown.to_string(),
        other => panic!("{line:?}: {other:?}"),
    };
    let program = Cli::command();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let names = commands.map(|command| vec![command.get_name()]);
    for name in names.chain([vec![]]) {
        let (short, long) = ([&name[..], &["-h"]].concat(), [&name[..], &["--help"]].concat());
        let (short, long) = (shown(&short), shown(&long));
        assert!(!short.contains("Exit codes") && short.len() < long.len(), "{short}");
        for row in ["Exit codes:", "\n  0  Done", "\n  9  The outcome is unknown", "Examples:"] {
            assert!(long.contains(row), "{name:?}: {row} is missing in {long}");
        }
    }
}

/// The help of every command whose help is visible, and of the program itself.
fn help_texts() -> Vec<HelpText> {
    let program = Cli::command();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let text = |command: &clap::Command| *command.get::<HelpText>().expect("a help text");
    std::iter::once(&program).chain(commands).map(text).collect()
}

#[test]
fn every_command_has_two_to_four_examples() {
    for text in help_texts() {
        let count = text.examples.lines().skip(1).count();
        assert!((2..=4).contains(&count), "{}", text.examples);
    }
}

#[test]
fn every_example_parses() {
    for text in help_texts() {
        let commands =
            text.examples.lines().filter_map(|line| line.find("convo ").map(|at| &line[at..]));
        for command in commands {
            let words = shlex::split(command).expect("closed quotes").into_iter();
            let words: Vec<_> =
                words.take_while(|word| !word.starts_with(['|', '>', '<'])).collect();
            assert!(cli::parse::<Cli>(words.clone()).is_ok(), "{words:?}");
        }
    }
}

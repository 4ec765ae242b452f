//! Every command of the README runs as it is printed, and does what the text around it says.

use std::collections::BTreeSet;

use clap::CommandFactory;
use convo::cli::{self, ParseError};
use convo::commands::Cli;
use serde_json::Value;

use crate::markdown::{PAGES, blocks, code_spans, commands, read};
use crate::play::{Play, Wrote};

/// Commands that a test cannot run, with the reason. Any other command is run, or this test fails.
const NOT_RUN: &[(&str, &str)] = &[
    ("scripts/test", "it runs these very tests"),
    ("cargo install --path .", "it would install on this machine"),
    (
        "cargo install convo-sms",
        "it would install on this machine; scripts/package builds that crate",
    ),
    ("sudo apt install ./convo_0.1.0-1_amd64.deb", "scripts/test-package does so on a bare system"),
    ("docker load --input convo-0.1.0-amd64.image.tar", "scripts/test-image runs that image"),
    ("tar -xzf convo-0.1.0-x86_64-unknown-linux-gnu.tar.gz", "scripts/release packs it"),
    ("ngrok http 5000", "it needs an account and the internet"),
];
/// What begins a command, where it stands within a sentence.
const PROGRAMS: &[&str] = &[
    "cargo",
    "cp",
    "curl",
    "docker",
    "export",
    "git",
    "make",
    "ngrok",
    "scripts/test",
    "sudo",
    "tar",
];

/// The fields that callers of the REST API rely on.
const MESSAGE: &[&str] = &["id", "direction", "from", "to", "body", "status", "created_at"];
const CONVERSATION: &[&str] =
    &["id", "contact_number", "message_count", "last_message_at", "created_at"];

#[test]
fn commands_that_are_not_run_are_listed() {
    let readme = read("README.md");
    let blocks = blocks(&readme, "sh");
    let listed: BTreeSet<_> = NOT_RUN.iter().map(|(command, _)| (*command).to_owned()).collect();
    let in_blocks = blocks.iter().flat_map(|block| commands(block)).filter(|c| listed.contains(c));
    // `export` alone is a command of ours.
    let program = |span: &String| {
        let first = span.split(' ').next().unwrap_or_default();
        PROGRAMS.contains(&first) && Cli::command().find_subcommand(span).is_none()
    };
    let in_sentences = code_spans(&readme).into_iter().filter(program);
    let found: BTreeSet<_> = in_blocks.chain(in_sentences).collect();
    assert_eq!(found, listed, "on the left what the README has, on the right NOT_RUN");
}

#[test]
fn what_is_installed_has_the_names_of_this_version() {
    let spans = code_spans(&read("README.md"));
    let version = env!("CARGO_PKG_VERSION");
    for name in [
        format!("convo_{version}-1_amd64.deb"),
        format!("convo-{version}-amd64.image.tar"),
        format!("convo-{version}-x86_64-unknown-linux-gnu.tar.gz"),
    ] {
        assert!(spans.iter().any(|span| span.ends_with(&name)), "{name}");
    }
}

#[test]
fn no_block_is_overlooked() {
    let readme = read("README.md");
    let fences = readme.lines().filter_map(|line| line.trim_start().strip_prefix("```"));
    for language in fences.step_by(2) {
        assert!(["sh", "text"].contains(&language), "commands are in blocks of sh: {language}");
    }
}

/// A placeholder stands for any value.
fn filled(word: &str) -> &str {
    match word {
        "ID" | "ID..." | "MESSAGE" => "b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819",
        "[URL]" => "http://127.0.0.1:5000",
        "read|unread" | "read\\|unread" => "read",
        "SHELL" => "bash",
        "[N]" => "1",
        "ACTION" => "list",
        "[NAME]" => "default",
        "COMMAND" | "[COMMAND]" => "list",
        // It follows these, and may be left out.
        "[COMMAND...]" => "--",
        "[--ready]" => "--ready",
        other => other,
    }
}

#[test]
fn every_command_in_a_sentence_is_one_of_ours() {
    let readme = read("README.md");
    let examples = blocks(&readme, "text").concat().into_iter();
    let examples = examples.filter_map(|line| line.strip_prefix("$ ").map(str::to_owned));
    let spans = PAGES.iter().flat_map(|page| code_spans(&read(page)));
    let ours = spans.chain(examples);
    let mut ours = ours.filter(|span| span.starts_with("convo ")).peekable();
    assert!(ours.peek().is_some());
    for span in ours {
        let quoted = shlex::split(&span).unwrap_or_else(|| panic!("{span} has an open quote"));
        let words: Vec<_> = quoted.iter().map(|word| filled(word)).collect();
        let command = Cli::command();
        match words[..] {
            [_, name] if !name.starts_with('-') => {
                assert!(command.find_subcommand(name).is_some(), "{span}");
            }
            _ => {
                let refused = cli::parse::<Cli>(words).err();
                assert!(!matches!(refused, Some(ParseError::Usage { .. })), "{span}: {refused:?}");
            }
        }
    }
}

#[test]
fn every_block_runs_as_printed() {
    let readme = read("README.md");
    let not_run = |command: &String| NOT_RUN.iter().any(|(listed, _)| listed == command);
    let blocks = blocks(&readme, "sh").into_iter().map(|block| commands(&block));
    let blocks = blocks.map(|block| block.into_iter().filter(|c| !not_run(c)).collect::<Vec<_>>());
    let mut blocks = blocks.filter(|block| !block.is_empty());
    let serve = blocks.next().expect("commands to run").join("\n");
    assert!(serve.ends_with("serve --sandbox"), "the first block starts the server: {serve}");
    let play = Play::start(&serve);
    assert!(play.dir.path().join("sandbox.db").exists(), "the threads are where the README says");

    // The lines that the server prints for another terminal are pasted as they are.
    let remote = play.pasted("In another terminal, through this server:");
    let local = play.pasted("or directly on its database:");
    for lines in [&remote, &local] {
        play.terminal(&lines.join("\n"));
    }
    let remote = settings(&remote);
    let mut answered = BTreeSet::new();
    for block in blocks {
        let wrote = play.terminal(&format!("{remote}\n{}", block.join("\n")));
        answered.extend(answers(&block, &wrote));
    }
    let seed = ["conversation", "conversations", "health", "send"];
    assert_eq!(answered, BTreeSet::from(seed), "the calls of the REST API that the README shows");

    every_text_is_delivered_and_answered(&play, &remote);
    here_and_there_tell_the_same(&play, &remote, &settings(&local));
}

/// The pasted lines that set a terminal up.
fn settings(pasted: &[&str]) -> String {
    let lines = pasted.iter().filter(|line| line.starts_with("export ") || line.starts_with("cd "));
    let lines: Vec<_> = lines.copied().collect();
    assert!(!lines.is_empty(), "the server prints lines to paste");
    lines.join("\n")
}

/// Checks the answer of every curl in a block; tells which calls they were.
fn answers(block: &[String], wrote: &Wrote) -> Vec<&'static str> {
    let curls: Vec<_> = block.iter().filter(|command| command.starts_with("curl ")).collect();
    if curls.is_empty() {
        return Vec::new();
    }
    assert_eq!(curls.len(), block.len(), "a block is of curl or not: {block:?}");
    let bodies = serde_json::Deserializer::from_str(&wrote.out).into_iter::<Value>();
    let bodies: Vec<_> = bodies.map(|body| body.expect("an answer in JSON")).collect();
    let statuses: Vec<_> = wrote.err.lines().collect();
    assert_eq!((bodies.len(), statuses.len()), (curls.len(), curls.len()), "{}", wrote.out);
    let answers = curls.iter().zip(statuses).zip(bodies);
    answers.map(|((curl, status), body)| answer(curl, status, &body)).collect()
}

fn answer(curl: &str, status: &str, body: &Value) -> &'static str {
    let url = curl.split_whitespace().find(|word| word.starts_with("http")).expect("an address");
    let path: Vec<_> = url.split('/').skip(3).collect();
    let call = match (curl.contains("-X POST"), &path[..]) {
        (true, ["conversations", _, "send"]) => {
            assert_has(body, MESSAGE);
            assert_has(body, &["conversation_id"]);
            "send"
        }
        (false, ["conversations"]) => {
            let conversations = body.as_array().expect("an array");
            assert!(!conversations.is_empty());
            conversations.iter().for_each(|thread| assert_has(thread, CONVERSATION));
            "conversations"
        }
        (false, ["conversations", contact]) => {
            assert_has(body, CONVERSATION);
            assert_eq!(body["contact_number"], *contact);
            let messages = body["messages"].as_array().expect("an array");
            assert!(!messages.is_empty());
            messages.iter().for_each(|message| assert_has(message, MESSAGE));
            "conversation"
        }
        (false, ["health"]) => {
            assert_eq!(*body, serde_json::json!({"status": "ok"}));
            "health"
        }
        _ => panic!("say here what this must answer: {curl}"),
    };
    assert_eq!(status, if call == "send" { "201" } else { "200" }, "{curl}: {body}");
    call
}

fn assert_has(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!object[*field].is_null(), "no {field} in {object}");
    }
}

fn every_text_is_delivered_and_answered(play: &Play, remote: &str) {
    let texts = play.until(|| {
        let thread = play.terminal(&format!("{remote}\nconvo show +12125551234 --json")).out;
        let thread: Value = serde_json::from_str(&thread).expect("a thread");
        let messages = thread["messages"].as_array().expect("its messages").clone();
        let of = |direction| messages.iter().filter(move |m| m["direction"] == direction);
        let body = |message: &Value| message["body"].as_str().unwrap_or_default().to_owned();
        let mut answers: Vec<_> = of("inbound").map(body).collect();
        let mut texts: Vec<_> = of("outbound").map(body).collect();
        answers.sort();
        texts.sort();
        let expected: Vec<_> = texts.iter().map(|text| format!("You said: {text}")).collect();
        let delivered = of("outbound").all(|message| message["status"] == "delivered");
        (delivered && answers == expected).then_some(texts)
    });
    assert!(["Hello", "Hello from Telnyx!"].iter().all(|text| texts.iter().any(|t| t == text)));
}

fn here_and_there_tell_the_same(play: &Play, remote: &str, local: &str) {
    for command in ["list", "show +12125551234"] {
        let there = play.terminal(&format!("{remote}\nconvo {command}")).out;
        let here = play.terminal(&format!("{local}\nconvo --sandbox {command}")).out;
        assert!(there.contains("\tYou said: Hello") && there.contains('\n'), "{there}");
        assert_eq!(here, there, "convo {command}");
    }
    let id = play.terminal(&format!("{remote}\nconvo list --format ids")).out;
    let by_id = play.request("GET", &format!("/conversations/{}", id.trim()));
    assert_eq!(by_id.0, 200, "{}", by_id.1);
    assert_eq!(by_id, play.request("GET", "/conversations/+12125551234"));
}

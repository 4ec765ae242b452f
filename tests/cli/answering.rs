//! `convo watch --exec` and `--reply`: a command for each message, and one answer to each, whatever is
//! killed in between.

use std::collections::{BTreeMap, BTreeSet};

use convo::sandbox::Behaviour;
use rustix::process::Signal;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, FakeServer, OWN, Reply, Running, TestDatabase, World, inbound, wait_for, wait_until,
};

/// A command that says something else each time, but nothing about the simulated contact's answers.
const FICKLE: &str =
    "#!/bin/sh\ncase $CONVO_TEXT in You*) exit;; esac\necho \"$CONVO_TEXT $$ $(date +%N)\"\n";

async fn world(db: TestDatabase) -> World {
    World::with(db, |home| home.set("CONVO_REPLY_LIMIT", "1000").set("CONVO_SEND_TIMEOUT", "2"))
        .await
}

fn executable(world: &World, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = world.home.write(name, script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

async fn text(world: &World, from: &str, name: &str, words: &str) {
    assert_eq!(world.signer.post(&world.server, inbound(name, name, from, words)).await, "stored");
}

/// The texts that the simulated Telnyx was offered, by their idempotency keys.
fn offered(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in world.telnyx.requests().iter().filter(|request| request.method == "POST") {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let key = request.idempotency_key.clone().expect("a key");
        texts.entry(key).or_default().insert(body["text"].to_string());
    }
    texts
}

/// Waits until a watch has taken its place in the feed.
fn wait_for_checkpoint(world: &World, name: &str) {
    wait_until("the watch to begin", || world.home.file(name).exists());
}

/// The watch is killed again and again, here and through a server, and its command says something else each
/// time: every message gets one answer, and Telnyx is offered one text for each.
async fn every_message_gets_one_answer_through_kills(db: TestDatabase) {
    let world = world(db).await;
    executable(&world, "answer.sh", FICKLE);
    let watch =
        ["watch", "--exec", "./answer.sh", "--reply", "--checkpoint", "place", "--jobs", "3"];
    let url = world.server.url();
    let remote = [&watch[..], &["--server", &url]].concat();
    let mut running = world.home.start(&watch);
    wait_for_checkpoint(&world, "place");
    let mut sent = 0;
    for round in 1..6 {
        let before = world.offers();
        for n in 0..4 {
            let contact = format!("+1212555{:04}", 1_000 + n);
            let name = format!("q{round}-{n}");
            text(&world, &contact, &name, &name).await;
            sent += 1;
        }
        // At another point of its work each time.
        wait_for("some progress", || (world.offers() > before || round % 3 == 0).then_some(()));
        running.kill();
        let next = if round % 2 == 0 { &watch[..] } else { &remote };
        running = world.home.start(next);
    }
    wait_for("every answer", || (offered(&world).len() >= sent).then_some(()));
    let answers = wait_for("every answer to be taken", || answers(&world, sent));
    running.kill();
    for (question, answers) in &answers {
        assert_eq!(answers.len(), 1, "{question}: {answers:?}");
        assert!(answers[0].starts_with(question), "{answers:?}");
    }
    let offered = offered(&world);
    assert_eq!(offered.len(), sent, "one key for each message");
    assert!(offered.values().all(|texts| texts.len() == 1), "one text under each key");
}

/// The answers by question, once there are as many as questions and Telnyx has taken them.
fn answers(world: &World, questions: usize) -> Option<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for n in 0..4 {
        let contact = format!("+1212555{:04}", 1_000 + n);
        let thread = world.home.run(&["show", &contact, "--json"]).silent().json();
        let all = thread["messages"].as_array().expect("messages").clone();
        for answer in all.iter().filter(|one| one["direction"] == "outbound") {
            if ["pending", "unknown"].iter().any(|open| answer["status"] == *open) {
                return None;
            }
            let question = all.iter().find(|one| one["id"] == answer["in_reply_to"]);
            let question = question.expect("the message it answers")["body"].as_str();
            let body = answer["body"].as_str().expect("a text").to_owned();
            found.entry(question.expect("a text").to_owned()).or_default().push(body);
        }
    }
    (found.len() == questions).then_some(found)
}

/// Several contacts are handled at the same time, each one's messages in their order.
async fn each_contacts_messages_are_handled_in_order(db: TestDatabase) {
    let world = world(db).await;
    executable(&world, "note.sh", "#!/bin/sh\necho \"$CONVO_CONTACT $CONVO_TEXT\" >> noted\n");
    let watch = ["watch", "--jobs", "4", "--checkpoint", "place", "--", "./note.sh"];
    let running = world.home.start(&watch);
    wait_for_checkpoint(&world, "place");
    for n in 0..10 {
        for contact in ["+12125551001", "+12125551002", "+12125551003"] {
            text(&world, contact, &format!("{contact}-{n}"), &n.to_string()).await;
        }
    }
    let noted = || std::fs::read_to_string(world.home.file("noted")).unwrap_or_default();
    wait_until("all notes", || noted().lines().count() == 30);
    running.kill();
    for contact in ["+12125551001", "+12125551002", "+12125551003"] {
        let noted = noted();
        let order = noted.lines().filter_map(|line| line.strip_prefix(contact));
        let order: Vec<usize> = order.map(|n| n.trim().parse().expect("a number")).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>(), "{contact}");
    }
}

/// A text of the contact is data: it reaches the command byte by byte, and nothing else does.
async fn a_hostile_text_is_only_data(db: TestDatabase) {
    let world = world(db).await;
    executable(
        &world,
        "keep.sh",
        "#!/bin/sh\ncat > input.json\nprintf %s \"$CONVO_TEXT\" > text\n\
         env > environment.new && mv environment.new environment\n",
    );
    let running = world.home.start(&[
        "watch",
        "--exec",
        "./keep.sh",
        "--history",
        "2",
        "--checkpoint",
        "place",
    ]);
    wait_for_checkpoint(&world, "place");
    let hostile = "$(touch pwned) `touch pwned`; touch pwned\n\u{1b}[2J'\"\\ \u{202e}é";
    let long = format!("{hostile}{}", "é".repeat(60_000));
    for (n, words) in [hostile, &long].into_iter().enumerate() {
        let _ = std::fs::remove_file(world.home.file("environment"));
        text(&world, CONTACT, &format!("m{n}"), words).await;
        wait_until("the command to end", || world.home.file("environment").exists());
        let kept = std::fs::read_to_string(world.home.file("text")).expect("UTF-8");
        assert!(words.starts_with(&kept), "{kept}");
        assert!(kept.len() == words.len() || (65_530..=65_536).contains(&kept.len()));
        let input = std::fs::read(world.home.file("input.json")).expect("the input");
        let input: Value = serde_json::from_slice(&input).expect("one JSON object");
        assert_eq!((&input["message"]["body"], &input["kind"]), (&words.into(), &"message".into()));
        let history = input["history"].as_array().expect("the history");
        assert_eq!(history.len(), n + 1);
        assert_eq!(history[n]["id"], input["message"]["id"]);
    }
    running.kill();
    assert!(!world.home.file("pwned").exists());
    let environment = std::fs::read_to_string(world.home.file("environment")).expect("UTF-8");
    let environment = environment.lines().collect::<Vec<_>>();
    for line in [
        "CONVO_EVENT=message".to_owned(),
        format!("CONVO_CONTACT={CONTACT}"),
        format!("CONVO_NUMBER={OWN}"),
    ] {
        assert!(environment.contains(&line.as_str()), "{line}");
    }
    for secret in ["TELNYX_API_KEY", "CONVO_API_TOKEN", "DATABASE_URL"] {
        assert!(!environment.iter().any(|line| line.starts_with(secret)), "{secret}");
    }
}

/// A command that fails, hangs or prints nothing sends nothing; it is reported, and the next message is
/// handled. What it started is ended with it.
async fn a_failing_command_is_reported_and_passed_over(db: TestDatabase) {
    let world = world(db).await;
    let script = "#!/bin/sh\necho \"for $CONVO_TEXT\" >&2\ncase $CONVO_TEXT in\n\
        fail) echo half an answer; exit 3;;\n\
        hang) echo half an answer; sleep 600 & echo $! > sleeper; wait;;\n\
        once) test -e tried || { : > tried; exit 1; }; echo second time;;\n\
        You*) ;;\n\
        silent) echo;;\n*) printf 'good\\n\\n';; esac\n";
    executable(&world, "moody.sh", script);
    let watch = [
        "watch",
        "--exec",
        "./moody.sh",
        "--reply",
        "--checkpoint",
        "place",
        "--retries",
        "1",
        "--exec-timeout",
        "1s",
    ];
    let running = world.home.start(&watch);
    wait_for_checkpoint(&world, "place");
    for words in ["fail", "hang", "once", "silent", "last"] {
        text(&world, CONTACT, words, words).await;
    }
    let thread = world.wait_for_thread(CONTACT, |thread| {
        thread["messages"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["body"] == "good\n"))
    });
    let err = running.err_so_far();
    running.kill();
    let sent = thread["messages"].as_array().expect("messages");
    let sent = sent.iter().filter(|one| one["direction"] == "outbound");
    let sent: Vec<_> = sent.map(|one| one["body"].as_str().expect("a text")).collect();
    assert_eq!(sent, ["second time", "good\n"]);
    for words in [
        "the command failed with exit code 3; trying again",
        "the command failed with exit code 3; passed over",
        "took longer than 1 s and was killed; passed over",
        "failed with exit code 1; trying again",
        "for silent",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    let sleeper = std::fs::read_to_string(world.home.file("sleeper")).expect("its id");
    let state = format!("/proc/{}", sleeper.trim());
    wait_until("what it started to end", || !std::path::Path::new(&state).exists());
}

/// Two programs that answer each other are stopped; contacts that opted out and old texts get no answer.
async fn what_must_not_be_answered_is_passed_over(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_REPLY_LIMIT", "2")).await;
    let watch = ["watch", "--reply", "--checkpoint", "place", "--", "echo", "Hello"];
    let running = world.home.start(&watch);
    wait_for_checkpoint(&world, "place");
    for n in 0..4 {
        text(&world, CONTACT, &format!("loop-{n}"), "Hello").await;
    }
    let stop = crate::support::opt("stop", "stop", "+12125551111", "STOP");
    assert_eq!(world.signer.post(&world.server, stop).await, "stored");
    text(&world, "+12125551111", "after", "Are you still there?").await;
    let help = crate::support::opt("help", "help", "+12125553333", "HELP");
    assert_eq!(world.signer.post(&world.server, help).await, "stored");
    let old = crate::support::Event::inbound("old", "old", "+12125552222", "Hello?").to_string();
    assert_eq!(world.signer.post(&world.server, old).await, "stored");
    wait_until("all to be passed over", || {
        let err = running.err_so_far();
        // The contact answers what it got, which is withheld, too.
        err.matches("within the last hour").count() >= 2
            && err.contains("has opted out")
            && err.matches("was answered by Telnyx").count() == 2
            && err.contains("is too old to be answered")
    });
    running.kill();
    assert_eq!(world.offers(), 2);
}

/// A watch stops at a signal; the next one goes on at its checkpoint, which only one uses at a time.
async fn a_checkpoint_belongs_to_one_watch(db: TestDatabase) {
    let world = world(db).await;
    let watch =
        ["watch", "--checkpoint", "place", "--", "sh", "-c", "echo \"$CONVO_TEXT\" >> noted"];
    let first = world.home.start(&watch);
    wait_for_checkpoint(&world, "place");
    world.home.run(&watch).exits(2).reports("another watch uses the checkpoint");
    text(&world, CONTACT, "one", "one").await;
    let noted = || std::fs::read_to_string(world.home.file("noted")).unwrap_or_default();
    let place = || std::fs::read_to_string(world.home.file("place")).expect("a position");
    let begun = place();
    wait_until("the first to be handled", || noted() == "one\n" && place() != begun);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, 0);
    text(&world, CONTACT, "two", "two").await;
    let second: Running = world.home.start(&watch);
    wait_until("what came meanwhile", || noted() == "one\ntwo\n");
    second.kill();
    world.home.write("place", "999999-00000000\n");
    let expired = world.home.run(&watch).exits(6);
    assert!(expired.err.contains("Remove") && expired.err.contains("--after"), "{}", expired.err);
    world.home.write("place", "my diary\n");
    world.home.run(&watch).exits(2).reports("is not a checkpoint");
}

/// The examples of docs/answering.md, which are files with a name in their second line.
fn install_examples(world: &World) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/answering.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut installed = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let (_, script) = block.split_once('\n').expect("a language");
        let Some(name) = script.lines().nth(1).and_then(|line| line.strip_prefix("# ")) else {
            continue;
        };
        executable(world, name.split([':', ' ']).next().expect("a name"), script);
        installed += 1;
    }
    assert_eq!(installed, 3);
}

/// Waits until the contact has so many answers, and returns their texts.
fn texts_sent(world: &World, contact: &str, count: usize) -> Vec<String> {
    let outbound = |thread: &Value| {
        let all = thread["messages"].as_array().cloned().unwrap_or_default();
        let sent = all.into_iter().filter(|one| one["direction"] == "outbound");
        sent.map(|one| one["body"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    outbound(&world.wait_for_thread(contact, |thread| outbound(thread).len() == count))
}

async fn the_examples_answer_as_they_say(db: TestDatabase) {
    let world = world(db).await;
    install_examples(&world);
    let silent = Behaviour::Silent.number();
    let echo = ["watch", "--reply", "--checkpoint", "echoed", "--exec", "./echo.sh"];
    let running = world.home.start(&echo);
    wait_for_checkpoint(&world, "echoed");
    text(&world, silent, "e1", "100% \\n \"quoted\"").await;
    assert_eq!(texts_sent(&world, silent, 1), ["You wrote: 100% \\n \"quoted\""]);
    running.kill();

    let away = ["watch", "--reply", "--checkpoint", "away", "--exec", "./away.sh"];
    let running = world.home.start(&away);
    wait_for_checkpoint(&world, "away");
    for name in ["a1", "a2", "a3"] {
        text(&world, "+12125551002", name, "Are you there?").await;
    }
    text(&world, "+12125551003", "b1", "Hello?").await;
    assert!(texts_sent(&world, "+12125551003", 1)[0].starts_with("I am away"));
    running.kill();
    assert_eq!(texts_sent(&world, "+12125551002", 1).len(), 1);

    let said = r#"{"choices":[{"message":{"content":"At noon."}}]}"#;
    let raw = crate::support::response("200 OK", "", said);
    let model = FakeServer::replying(&[Reply::Raw(raw)]).await;
    let bot = ["watch", "--reply", "--checkpoint", "bot", "--history", "20", "--exec", "./bot.py"];
    let mut command = world.home.command(&bot);
    command.env("MODEL_URL", model.url());
    let running = Running::start(command, None);
    wait_for_checkpoint(&world, "bot");
    text(&world, silent, "e2", "When do you open?").await;
    assert_eq!(texts_sent(&world, silent, 2)[1], "At noon.");
    running.kill();
    let asked = model.requests()[0].json();
    let roles: Vec<_> = asked["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| message["role"].as_str().expect("a role"))
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(asked["messages"][3]["content"], "When do you open?");
}

#[test]
fn a_command_that_needs_a_shell_is_refused() {
    let home = crate::support::Home::new();
    for command in ["cat | tr a b", "echo $HOME", "a; b", "a > b", "a & b", "`a`"] {
        let done = home.run(&["watch", "--exec", command]).exits(2);
        assert!(done.err.contains("sh -c"), "{}", done.err);
    }
    home.run(&["watch", "--reply"]).exits(2).reports("--reply needs a command to run");
}

on_both_databases!(
    every_message_gets_one_answer_through_kills,
    each_contacts_messages_are_handled_in_order,
    a_hostile_text_is_only_data,
    a_failing_command_is_reported_and_passed_over,
    what_must_not_be_answered_is_passed_over,
    a_checkpoint_belongs_to_one_watch,
    the_examples_answer_as_they_say,
);

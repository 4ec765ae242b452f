//! The same commands, here or there: the same bytes, the same exit code.

use convo::sandbox::Behaviour;

use crate::on_both_databases;
use crate::support::{CONTACT, Done, TestDatabase, World, example, inbound, is_id, opt};

/// Runs a command in both ways. They may differ only in the server that commands in hints ask.
#[track_caller]
pub fn both(world: &World, args: &[&str]) -> (Done, Done) {
    let url = world.server.url();
    let remote: Vec<_> = args.iter().copied().chain(["--server", &url]).collect();
    (world.home.run(args), world.home.run(&remote).without_server(&url))
}

/// Asserts that a command says the same here and there. Relative times ("2 s ago") may tick
/// between two runs, so the local one is repeated until it says the same before and after.
#[track_caller]
pub fn same(world: &World, args: &[&str]) -> Done {
    for _ in 0..100 {
        let (here, there) = both(world, args);
        if here.bytes() == there.bytes() {
            return here;
        }
        let again = world.home.run(args);
        assert_ne!(here.bytes(), again.bytes(), "{args:?} is another with a server: {there:?}");
    }
    panic!("{args:?} says something else each time: {:?}", world.home.run(args));
}

/// A few threads with everything in them that is hard to print.
async fn filled(db: TestDatabase) -> World {
    let world = World::start(db).await;
    for name in ["inbound_sms", "inbound_mms", "inbound_group_mms", "finalized_failed"] {
        world.signer.post(&world.server, example(name)).await;
    }
    let texts = ["\u{1b}[2J\u{202e}\r\nx", "a\tb\\c", "=cmd", "漢字 😀\u{200d}", "\u{85}\u{9b}31m"];
    for (n, text) in texts.iter().enumerate() {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), "+442079460958", text);
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    world.signer.post(&world.server, inbound("e-w", "m-w", "ACME", "Offer")).await;
    let silent = Behaviour::Silent.number();
    let id = world.home.run(&["send", silent, "Hello"]).exits(0).id().to_owned();
    world.wait_for_message(silent, &id, "delivered");
    world
}

async fn list_and_show_print_the_same_bytes(db: TestDatabase) {
    let world = filled(db).await;
    let ids = world.home.run(&["list", "--format", "ids"]).silent().out;
    let id = ids.lines().next().expect("an id");
    let forms = [&[][..], &["--json"], &["--format", "table"], &["--format", "jsonl"]];
    let further = [&["--format", "csv"][..], &["--format", "ids"], &["--limit", "2"], &["--all"]];
    for form in forms.iter().chain(&further) {
        assert_eq!(same(&world, &[&["list"], *form].concat()).code, 0);
        for contact in ["+442079460958", "+44 (0)20 7946 0958", "ACME", "+13125550001", id] {
            same(&world, &[&["show", contact], *form].concat()).exits(0);
        }
    }
    for part in [&id[28..], &id[24..], &id.to_uppercase()] {
        same(&world, &["show", part]).exits(0);
    }
    same(&world, &["list", "--json", "--limit", "1", "--color", "always"]).exits(0);
    same(&world, &["show", id, "--format", "table", "--color", "always"]).exits(0);
}

async fn failures_print_the_same_bytes(db: TestDatabase) {
    let world = filled(db).await;
    let ids = world.home.run(&["list", "--format", "ids"]).silent().out;
    let common = &ids[..4];
    let long = "7".repeat(70_000);
    let nowhere = ["+19995550000", ".", "..", "/", "a/b", "%2F", " ", "?x", "#", "0000", &long];
    for contact in nowhere {
        for json in [false, true] {
            let args = ["show", contact, "--json"];
            let done = same(&world, if json { &args } else { &args[..2] }).exits(3);
            assert_eq!(done.out, "");
            if json {
                assert_eq!(done.error()["code"], "conversation_not_found");
            }
        }
    }
    let ambiguous = same(&world, &["show", common]).exits(2);
    assert!(ambiguous.err.contains("matches several conversations"), "{}", ambiguous.err);
    for args in [
        &["show"][..],
        &["show", ""],
        &["list", "--limit", "0"],
        &["list", "--format", "xml"],
        &["list", "extra"],
    ] {
        same(&world, args).exits(2);
    }
}

/// Ids differ from send to send, and so does how far a message has come; nothing else may.
fn without_ids(text: &str) -> String {
    let text = ["queued for", "sent to", "delivered to"]
        .iter()
        .fold(text.to_owned(), |text, way| text.replace(way, "<on its way to>"));
    let word = |word: &str| {
        let id = word.find(|c: char| c.is_ascii_hexdigit()).and_then(|at| word.get(at..at + 36));
        match id.filter(|id| is_id(id)) {
            Some(id) => word.replace(id, "<id>"),
            None => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

async fn send_prints_the_same(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "2")).await;
    let stopped = opt("e-stop", "m-stop", "+12125550002", "STOP");
    world.signer.post(&world.server, stopped).await;
    let refused = Behaviour::Refused.number();
    let (lost, silent) = (Behaviour::Vanished.number(), Behaviour::Silent.number());
    let long = "€".repeat(1_000);
    let mut codes = Vec::new();
    for args in [
        &["send", silent, "Hello"][..],
        &["send", silent, "Hello", "--dry-run"],
        &["send", silent, "Hello", "--dry-run", "--json"],
        &["send", silent, "Hello", "--media", "https://example.com/a.png"],
        &["send", "2125551234", "Hello"],
        &["send", "+0", "Hello", "--json"],
        &["send", "..", "Hello"],
        &["send", silent, ""],
        &["send", silent, &long],
        &["send", silent, "Hello", "--from", "+1"],
        &["send", silent, "Hello", "--media", "file:///etc/passwd"],
        &["send", silent, "Hello", "--at", "2020-01-01T00:00:00Z"],
        &["send", silent, "Hello", "--idempotency-key", "no key"],
        &["send", refused, "Hello"],
        &["send", Behaviour::OptedOut.number(), "Hello", "--despite-opt-out"],
        &["send", Behaviour::Unauthorized.number(), "Hello"],
        &["send", "+12125550002", "Hello"],
        &["send", "+12125550002", "Hello", "--json"],
        &["send", lost, "Hello", "--idempotency-key", "one"],
        &["send", lost, "Other", "--idempotency-key", "one"],
        &["send", lost, "Hello", "--idempotency-key", "one", "--json"],
    ] {
        let (here, there) = both(&world, args);
        // The moment of a STOP or of a message is the same for both only when it is stored.
        assert_eq!(here.code, there.code, "{args:?}\n{here:?}\n{there:?}");
        assert_eq!(without_ids(&here.err), without_ids(&there.err), "{args:?}");
        assert_eq!(without_ids(&here.out), without_ids(&there.out), "{args:?}");
        codes.push(here.code);
    }
    assert_eq!(codes, [0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 6, 7, 4, 7, 7, 9, 2, 9]);
}

async fn long_conversations_print_the_same(db: TestDatabase) {
    let world = World::start(db).await;
    for first in (0..1_203).step_by(50) {
        let posts = (first..(first + 50).min(1_203)).map(|n| {
            let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("text {n}"));
            world.signer.post(&world.server, body)
        });
        futures_util::future::join_all(posts).await;
    }
    for form in [&["--json"][..], &[], &["--limit", "777"], &["--limit", "1001"], &["--limit", "1"]]
    {
        same(&world, &[&["show", CONTACT], form].concat()).silent();
    }
    let whole = world.home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(whole["messages"].as_array().map(Vec::len), Some(1_203));
    let streamed = world.server.get(&format!("/conversations/{CONTACT}")).await.json();
    assert_eq!(streamed, whole);
}

on_both_databases!(
    long_conversations_print_the_same,
    list_and_show_print_the_same_bytes,
    failures_print_the_same_bytes,
    send_prints_the_same,
);

/// A contact that is not known yet is told in the same words, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_prints_the_same() {
    let world = World::start(TestDatabase::sqlite()).await;
    for form in ["table", "json", "jsonl", "csv", "ids"] {
        same(&world, &["list", "--format", form]).silent();
    }
    assert_eq!(same(&world, &["list"]).silent().out, "");
    same(&world, &["show", CONTACT]).exits(3);
}

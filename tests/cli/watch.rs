//! `convo watch`: what happens, as it happens, in every way to read it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use convo::sandbox::Behaviour;
use rustix::process::Signal;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Home, OnTerminal, Server, TestDatabase, World, eventually_some, free_port, inbound,
    opt, signal, wait_for,
};

/// A watch that runs, with what it has printed so far.
struct Watch {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Watch {
    #[track_caller]
    fn start(home: &Home, args: &[&str]) -> Self {
        Self::command(home, &[&["watch"], args].concat())
    }

    #[track_caller]
    fn command(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// The next line, once it is printed.
    #[track_caller]
    fn line(&self) -> String {
        wait_for("a line", || self.lines.try_recv().ok())
    }

    /// Ends it, and returns what it has written to standard error.
    fn end(mut self) -> String {
        signal(&self.child, Signal::INT);
        let mut err = String::new();
        let _ = self.child.stderr.take().expect("a pipe").read_to_string(&mut err);
        self.child.wait().expect("it ends");
        err
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn text(world: &World, id: &str, text: &str) {
    let body = inbound(id, id, CONTACT, text);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
}

async fn events_come_as_they_happen(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, "m0", "before").await;
    let url = world.server.url();
    let watches = [&[][..], &["--server", &url]]
        .map(|remote| Watch::start(&world.home, &[&["--since", "1h"], remote].concat()));
    for watch in &watches {
        assert!(watch.line().contains("before"));
    }
    text(&world, "m1", "a\tb\\\n\u{1b}[2J").await;
    world.signer.post(&world.server, opt("e-stop", "m-stop", CONTACT, "STOP")).await;
    let [here, there] = watches.each_ref().map(|watch| [watch.line(), watch.line(), watch.line()]);
    assert_eq!(here, there, "the same bytes here and there");
    let fields: Vec<Vec<&str>> = here.iter().map(|line| line.split('\t').collect()).collect();
    assert!(fields.iter().all(|fields| fields.len() == 19 && fields[2] == CONTACT), "{fields:?}");
    assert_eq!(fields[0][1..5], ["message", CONTACT, "inbound", "received"]);
    assert_eq!(fields[0][7], r"a\tb\\\n\u{1b}[2J");
    let kinds: Vec<_> = fields.iter().map(|fields| fields[1]).collect();
    assert_eq!(kinds, ["message", "message", "opt_out"]);
    assert_eq!(fields[2][15], "true");
    for watch in watches {
        assert_eq!(watch.end(), "", "a watch says nothing");
    }
}

/// Without a beginning it begins now: when that is shows in what it prints first.
async fn a_watch_begins_now(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, "before", "before").await;
    let watch = Watch::start(&world.home, &[]);
    let mut sent = 0;
    let first = eventually_some("a line", async || {
        sent += 1;
        text(&world, &format!("m{sent}"), &format!("text {sent}")).await;
        watch.lines.try_recv().ok()
    });
    let first = first.await;
    let seen: usize = first
        .split_once("text ")
        .and_then(|(_, rest)| rest.split('\t').next()?.parse().ok())
        .expect("a text since it began");
    for n in seen + 1..=sent {
        assert!(watch.line().contains(&format!("\ttext {n}\t")), "each one since then");
    }
}

async fn the_past_can_be_read_in_every_format(db: TestDatabase) {
    let world = World::start(db).await;
    for n in 0..3 {
        text(&world, &format!("m{n}"), &format!("text {n}")).await;
    }
    world.signer.post(&world.server, opt("e-stop", "m-stop", CONTACT, "STOP")).await;
    let past = ["watch", "--since", "1h", "--until", "0s"];
    let url = world.server.url();
    let run = |further: &[&str]| {
        let here = world.home.run(&[&past[..], further].concat()).silent().out;
        let there = [&past[..], further, &["--server", &url]].concat();
        assert_eq!(here, world.home.run(&there).silent().out, "{further:?}");
        here
    };
    assert_eq!(run(&[]).lines().count(), 5);
    let json = run(&["--json"]);
    let events: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(events[1]["message"]["body"], "text 1");
    assert_eq!(events[4]["kind"], "opt_out");
    assert_eq!(run(&["--format", "json"]), json);
    assert_eq!(run(&["--format", "jsonl"]), json);
    let csv = run(&["--format", "csv"]);
    assert!(csv.starts_with("at,kind,contact_number,direction,"), "{csv}");
    assert_eq!(csv.lines().count(), 6);
    assert_eq!(run(&["--format", "ids", "--kind", "message"]).lines().count(), 4);
    let table = run(&["--format", "table"]);
    assert!(table.contains(&format!("← {CONTACT}    text 0\n")), "{table}");
    assert!(table.contains("opted out: nothing is sent"), "{table}");
    assert_eq!(run(&["--kind", "opt_out"]).lines().count(), 1);
    assert_eq!(run(&["--contact", "+15550000000"]), "");
    assert_eq!(run(&["--direction", "outbound"]), "");
    assert_eq!(run(&["--status", "received", "--contact", CONTACT]).lines().count(), 4);
    let cursor = events[1]["cursor"].as_str().expect("a cursor");
    let after = ["watch", "--after", cursor, "--until", "0s", "--json"];
    assert_eq!(
        world.home.run(&after).silent().out,
        json.lines().skip(2).fold(String::new(), |all, line| all + line + "\n")
    );
}

async fn count_and_timeout_end_it(db: TestDatabase) {
    let world = World::start(db).await;
    for n in 0..3 {
        text(&world, &format!("m{n}"), &format!("text {n}")).await;
    }
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        let run = |args: &[&str]| world.home.run(&[&["watch"], args, remote].concat());
        let two = run(&["--since", "1h", "--count", "2"]).silent().out;
        assert_eq!(two.lines().count(), 2);
        let late = run(&["--since", "1h", "--count", "4", "--timeout", "1s"]).exits(8);
        assert_eq!(late.out.lines().count(), 3, "{}", late.out);
        let cursor = late.out.lines().last().and_then(|line| line.split('\t').nth(14));
        let expected = format!("--after {} goes on", cursor.expect("a cursor"));
        assert!(
            late.clone().reports("after 3 of 4 events").err.contains(&expected),
            "{}",
            late.err
        );
        let error = run(&["--json", "--count", "1", "--timeout", "0s"]).exits(8).error();
        assert_eq!(error["code"], "timed_out");
        assert_eq!(
            run(&["--timeout", "1s"]).silent().out,
            "",
            "without --count, time is no failure"
        );
        let expired = run(&["--after", "1-00000001"]).exits(6).reports("the cursor has expired");
        assert!(expired.err.contains("--after "), "{}", expired.err);
        let oldest =
            expired.err.split("--after ").nth(1).and_then(|rest| rest.split([',', ' ']).next());
        let rest = run(&["--after", oldest.expect("a cursor"), "--count", "3"]).silent().out;
        assert_eq!(rest.lines().count(), 3, "the hint leads to what is left");
    }
    for (wrong, expected) in [
        (&["--count", "0"][..], "1 or more"),
        (&["--kind", "texts"], "'texts'"),
        (&["--after", "7"], "field cursor"),
        (&["--after", "7-00000000", "--since", "1h"], "--since"),
    ] {
        world.home.run(&[&["watch"], wrong].concat()).exits(2).reports(expected);
    }
}

on_both_databases!(
    events_come_as_they_happen,
    a_watch_begins_now,
    the_past_can_be_read_in_every_format,
    count_and_timeout_end_it,
    a_killed_server_costs_no_event,
    a_thread_goes_on,
    nothing_is_lost_between_the_thread_and_what_follows,
    a_wait_ends_with_the_report,
);

/// The server is killed again and again, and texts come while it is away and while it is there.
async fn a_killed_server_costs_no_event(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, "first", "text first").await;
    let listen = format!("127.0.0.1:{}", free_port());
    let start = || Server::start_with(&world.home, &["serve", "--listen", &listen]);
    let mut server = start();
    let url = server.url();
    let watch = Watch::start(&world.home, &["--since", "1h", "--server", &url]);
    assert!(watch.line().contains("text first"));
    let mut expected = Vec::new();
    for round in 0..3 {
        for n in 0..3 {
            let id = format!("there-{round}-{n}");
            world.signer.post(&server, inbound(&id, &id, CONTACT, &id)).await;
            expected.push(id);
        }
        server.kill();
        for n in 0..3 {
            let id = format!("away-{round}-{n}");
            text(&world, &id, &id).await;
            expected.push(id);
        }
        server = start();
        let so_far: Vec<_> = (0..6).map(|_| watch.line()).collect();
        let bodies: Vec<_> = so_far.iter().filter_map(|line| line.split('\t').nth(7)).collect();
        assert_eq!(bodies, expected[round * 6..], "in their order, none missing, none twice");
    }
    let err = watch.end();
    assert!(err.contains("trying again") && err.contains("nothing was missed"), "{err}");
    assert!(err.lines().count() <= 6, "once when it is lost, and once when it is back: {err}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_pass_by_itself_ends_it_at_once() {
    let world =
        World::with(TestDatabase::sqlite(), |home| home.set("CONVO_API_TOKEN", "secret")).await;
    let stranger = world.home.without("CONVO_API_TOKEN");
    let url = world.server.url();
    stranger.run(&["watch", "--server", &url]).exits(4).reports("token");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    world.home.run(&["watch", "--server", &nobody]).exits(5).reports("cannot be reached");
    Home::new().run(&["watch"]).exits(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_it_although_nothing_happens() {
    let world = World::start(TestDatabase::sqlite()).await;
    text(&world, "m0", "text 0").await;
    for format in ["csv", "json"] {
        let mut command = world.home.command(&["watch", "--since", "1h", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut String::new()).expect("a line");
        drop(out);
        let status = wait_for("its end", || child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_hostile_texts_are_one_line_each() {
    let world = World::start(TestDatabase::sqlite()).await;
    for (n, hostile) in
        ["\u{1b}[2J\u{1b}]0;owned\u{7}", "a\r\n  09:00 ← forged", "\u{202e}x\u{9b}31m"]
            .iter()
            .enumerate()
    {
        text(&world, &format!("m{n}"), hostile).await;
    }
    world.signer.post(&world.server, inbound("e-n", "m-n", "\u{1b}[31mACME\nInc", "Hi")).await;
    let command: Command = world.home.command(&["watch", "--since", "1h", "--until", "0s"]);
    let shown = OnTerminal::start(command, 60, 20).wait().out;
    let plain = anstream::adapter::strip_str(&shown).to_string();
    let lines: Vec<_> = plain.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 4, "{plain}");
    assert!(
        lines.iter().all(|line| line.starts_with("  ") && line.chars().count() <= 60),
        "{plain}"
    );
    assert!(!plain.contains(|c: char| c.is_control() && !"\r\n".contains(c)), "{plain:?}");
}

async fn a_thread_goes_on(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, "m0", "before").await;
    text(&world, "m1", "and this").await;
    let url = world.server.url();
    let watches = [&[][..], &["--server", &url]]
        .map(|remote| Watch::command(&world.home, &[&["show", CONTACT, "-f"], remote].concat()));
    for watch in &watches {
        assert!(watch.line().contains("\tbefore\t") && watch.line().contains("\tand this\t"));
    }
    world.signer.post(&world.server, inbound("o", "o", "+15550000000", "another's")).await;
    text(&world, "m2", "\u{1b}[2J").await;
    for watch in &watches {
        assert!(watch.line().contains("\t\\u{1b}[2J\t"));
    }
    let silent = Behaviour::Silent.number();
    let new = Watch::command(&world.home, &["show", silent, "--follow", "--json"]);
    let table = Watch::command(&world.home, &["show", silent, "-f", "--format", "table"]);
    assert!(table.line().contains("No messages"), "it says that there is none yet");
    // Whoever prints that has begun; the other may not have.
    let mut sent = Vec::new();
    let first = eventually_some("a line", async || {
        sent.push(world.home.run(&["send", silent, "Hi", "--wait"]).exits(0).id().to_owned());
        new.lines.try_recv().ok()
    });
    let first: serde_json::Value = serde_json::from_str(&first.await).expect("a message");
    assert!(sent.iter().any(|id| first["id"] == id.as_str()), "{first}");
    let mut last = first;
    while last["status"] != "delivered" {
        let next: serde_json::Value = serde_json::from_str(&new.line()).expect("a message");
        assert_eq!(next["id"], last["id"], "the message again, with another status");
        assert_ne!(next["status"], last["status"]);
        last = next;
    }
    assert!(table.line().contains(silent), "the heading");
    while !table.line().contains("✓ delivered") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_message_cannot_be_followed() {
    let world = World::start(TestDatabase::sqlite()).await;
    text(&world, "m0", "text").await;
    let id = world.home.run(&["show", CONTACT, "--format", "ids"]).silent().line().to_owned();
    world.home.run(&["show", &id, "-f"]).exits(2).reports("cannot be followed");
    world.home.run(&["show", "nobody", "-f"]).exits(3).reports("not found");
    world.home.run(&["show", CONTACT, "-f", "--until", "1h"]).exits(2).reports("--until");
}

/// Texts come all the time, while threads are read: each is printed once.
async fn nothing_is_lost_between_the_thread_and_what_follows(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, "m-start", "start").await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let posting = async {
        let mut posted = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            text(&world, &format!("m{posted}"), &format!("text {posted}")).await;
            posted += 1;
        }
        posted
    };
    let home = &world.home;
    let following = async {
        let mut watches = Vec::new();
        for _ in 0..5 {
            watches.push(Watch::command(home, &["show", CONTACT, "-f"]));
            let first = watches.last().expect("just pushed");
            eventually_some("a line", async || first.lines.try_recv().ok()).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        watches
    };
    let (posted, watches) = tokio::join!(posting, following);
    for watch in watches {
        for n in 0..posted {
            let line = watch.line();
            assert!(line.contains(&format!("\ttext {n}\t")), "{n}: {line}");
        }
    }
}

/// The text arrives moments after the report, and not at the next look.
async fn a_wait_ends_with_the_report(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        let args =
            [&["send", Behaviour::Silent.number(), "Hi", "--wait=delivered", "--json"], remote];
        let mut took: Vec<_> = (0..5)
            .map(|_| {
                let start = std::time::Instant::now();
                let message = world.home.run(&args.concat()).silent().json();
                assert_eq!(message["status"], "delivered");
                start.elapsed()
            })
            .collect();
        took.sort();
        println!("send --wait {remote:?}: {took:?}");
    }
}

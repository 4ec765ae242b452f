//! What is unread: everything that arrives, until somebody has seen it.

use convo::clock;
use serde_json::Value;

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{
    Done, Event, Home, OnTerminal, Server, TestDatabase, Tmux, World, connect, execute, inbound,
    query_one, wait_until,
};

/// A contact that never answers.
const CONTACT: &str = "+12025550113";
const OTHER: &str = "+13025550002";
const READER: &str = "reader:read:0123456789abcdef,all-0123456789abc";

/// A text arrives; its id is that of the webhook, too.
async fn text(world: &World, from: &str, id: &str) {
    let body = inbound(&format!("e-{id}"), id, from, id);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
}

fn show(home: &Home, contact: &str) -> Value {
    home.run(&["show", contact, "--json"]).exits(0).json()
}

fn unread(home: &Home, contact: &str) -> u64 {
    show(home, contact)["unread_count"].as_u64().expect("a number")
}

fn message(home: &Home, contact: &str, body: &str) -> Value {
    let thread = show(home, contact);
    let all = thread["messages"].as_array().expect("messages");
    all.iter().find(|message| message["body"] == body).expect(body).clone()
}

/// Runs the program on a terminal with a further variable.
fn on_terminal_with(home: &Home, (name, value): (&str, &str), args: &[&str]) -> Done {
    let mut command = home.command(args);
    command.env(name, value);
    OnTerminal::start(command, 80, 24).wait()
}

/// How many conversations have another count than a recount of their messages.
async fn miscounted(url: &str) -> i64 {
    let sql = "SELECT count(*) FROM conversations AS c WHERE unread_count <> (SELECT count(*) \
               FROM messages WHERE conversation_key = c.key AND direction = 0 \
               AND arrival > c.read_up_to) OR read_up_to > arrived";
    query_one(&connect(url).await, sql).await
}

async fn a_text_is_unread_until_it_is_seen_or_answered(db: TestDatabase) {
    let world = World::start(db).await;
    let (home, url) = (&world.home, world.server.url());
    for id in ["t1", "t2"] {
        text(&world, CONTACT, id).await;
    }
    text(&world, OTHER, "t3").await;
    assert_eq!((unread(home, CONTACT), unread(home, OTHER)), (2, 1), "a pipe marks nothing");
    assert_eq!(
        same(&world, &["list", "--unread", "--json"]).json().as_array().map(Vec::len),
        Some(2)
    );
    let listed = same(&world, &["list", "--contact", CONTACT]);
    assert_eq!(listed.line().split('\t').nth(10), Some("2"), "{}", listed.line());
    home.run(&["show", CONTACT, "--mark-read"]).exits(0);
    assert_eq!(unread(home, CONTACT), 0);
    assert_eq!(same(&world, &["list", "--unread", "--format", "ids"]).out.lines().count(), 1);
    home.run(&["show", OTHER, "--mark-read", "--server", &url]).exits(0);
    assert_eq!(same(&world, &["list", "--unread"]).out, "");

    text(&world, CONTACT, "question").await;
    let id = message(home, CONTACT, "question")["id"].clone();
    home.run(&["send", CONTACT, "by itself", "--reply-to", id.as_str().expect("an id")]).exits(0);
    assert_eq!(unread(home, CONTACT), 1, "an automatic answer is nobody who has read");
    let elsewhere = Event::report("e-out", "m-out", CONTACT, "delivered").to_string();
    world.signer.post(&world.server, elsewhere).await;
    assert_eq!(unread(home, CONTACT), 1, "another program's text is not this one's");
    home.run(&["send", CONTACT, "by hand"]).exits(0);
    assert_eq!(unread(home, CONTACT), 0);
    text(&world, CONTACT, "thanks").await;
    assert_eq!(unread(home, CONTACT), 1);
    let again = inbound("e-thanks", "thanks", CONTACT, "thanks");
    assert_eq!(world.signer.post(&world.server, again).await, "duplicate");
    assert_eq!(unread(home, CONTACT), 1);
    assert_eq!(miscounted(&world.db.url).await, 0);
}

async fn a_terminal_marks_what_it_prints(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_API_TOKEN", READER)).await;
    let (home, url) = (&world.home, world.server.url());
    for id in ["t1", "t2", "t3"] {
        text(&world, CONTACT, id).await;
    }
    for args in [&["--keep-unread"][..], &["--until", "1h"], &["--json"], &["--before", "1h"]] {
        home.on_terminal(80, &[&["show", CONTACT, "--no-pager"], args].concat()).exits(0);
        assert_eq!(unread(home, CONTACT), 3, "{args:?}");
    }
    let id = message(home, CONTACT, "t1")["id"].as_str().expect("an id").to_owned();
    home.on_terminal(80, &["show", &id, "--no-pager"]).exits(0);
    home.run(&["show", &id, "--mark-read"]).exits(2);
    home.run(&["show", CONTACT, "--mark-read", "--before", "1h"]).exits(2);
    let remote = ["show", CONTACT, "--no-pager", "--server", &url];
    let reader = ("CONVO_API_TOKEN", "0123456789abcdef");
    let done = on_terminal_with(home, reader, &remote).exits(0);
    assert_eq!(done.err, "", "silently not");
    home.run_with(&[reader], &[&remote[..], &["--mark-read"]].concat()).exits(4);
    assert_eq!(unread(home, CONTACT), 3);

    home.on_terminal(80, &["show", CONTACT, "--limit", "1", "--no-pager"]).exits(0);
    assert_eq!(unread(home, CONTACT), 0);
    text(&world, CONTACT, "t4").await;
    let all = ("CONVO_API_TOKEN", "all-0123456789abc");
    on_terminal_with(home, all, &remote).exits(0);
    assert_eq!(unread(home, CONTACT), 0);

    let following = home.command(&["show", CONTACT, "--follow"]);
    let following = OnTerminal::start(following, 80, 24);
    // Whatever of it arrives before following has begun is printed, and read, as well.
    for id in ["t5", "t6"] {
        text(&world, CONTACT, id).await;
        wait_until("following marks what comes", || unread(home, CONTACT) == 0);
    }
    following.running().signal(rustix::process::Signal::INT);
    following.wait();
    assert_eq!(miscounted(&world.db.url).await, 0);
}

async fn a_chat_marks_what_is_on_the_screen(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, CONTACT, "before").await;
    let home = Home::new();
    let tmux = Tmux::start(&home, 80, 40);
    tmux.enter(&world.home.command(&["chat", CONTACT]));
    tmux.wait_for_last(">");
    wait_until("the chat marks what was there", || unread(&world.home, CONTACT) == 0);
    text(&world, CONTACT, "meanwhile").await;
    tmux.wait_for_row("the text", |row| row.contains("meanwhile"));
    wait_until("the chat marks what comes", || unread(&world.home, CONTACT) == 0);
    tmux.press("C-d");
    tmux.wait_for_exit();
}

async fn a_database_that_cannot_be_changed_is_read_all_the_same(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, CONTACT, "t1").await;
    if world.db.url.starts_with("postgres") {
        let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
        let grant = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        );
        execute(&world.db.url, &grant).await;
        let mut url = url::Url::parse(&world.db.url).expect("a URL");
        url.set_username(&role).expect("a user");
        url.set_password(Some("secret")).expect("a password");
        let there = ("DATABASE_URL", url.as_str());
        let done = on_terminal_with(&world.home, there, &["show", CONTACT, "--no-pager"]).exits(0);
        assert_eq!(done.err, "");
        let name = world.db.url.rsplit('/').next().expect("a name").to_owned();
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
        execute(&world.db.url, &sql).await;
        let done = world.home.on_terminal(80, &["show", CONTACT, "--no-pager"]).exits(0);
        assert_eq!(done.err, "");
    } else {
        let url = format!("{}?mode=ro", world.db.url);
        let there = ("DATABASE_URL", url.as_str());
        let done = on_terminal_with(&world.home, there, &["show", CONTACT, "--no-pager"]).exits(0);
        assert_eq!(done.err, "");
        world.home.run_with(&[there], &["mark", "read", "--all"]).exits(4);
    }
    assert_eq!(unread(&world.home, CONTACT), 1);
}

async fn what_arrives_late_is_unread_whatever_its_date(db: TestDatabase) {
    let world = World::start(db).await;
    let home = &world.home;
    for id in ["t1", "t2", "t3"] {
        text(&world, CONTACT, id).await;
    }
    let id = |body: &str| message(home, CONTACT, body)["id"].as_str().expect("an id").to_owned();
    let mark = async |query: &str| {
        let path = format!("/conversations/{CONTACT}/read{query}");
        let answer = world.server.post(&path, "", "{}").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["unread_count"].as_u64().expect("a number")
    };
    let [first, second] = ["t1", "t2"].map(|body| format!("?up_to={}", id(body)));
    assert_eq!(mark(&second).await, 1);
    assert_eq!(mark(&first).await, 1, "a late request unmarks nothing");
    let arrived = show(home, CONTACT)["arrived"].as_u64().expect("a number");
    text(&world, CONTACT, "t4").await;
    assert_eq!(mark(&format!("?arrived={arrived}")).await, 1, "what came meanwhile stays");
    assert_eq!(mark("?arrived=99999999999999999").await, 0);
    let old = Event::inbound("e-old", "old", CONTACT, "old");
    let old = old.received_at(clock::now().plus_seconds(-3 * 86_400)).to_string();
    assert_eq!(world.signer.post(&world.server, old).await, "stored");
    let thread = show(home, CONTACT);
    assert_eq!(
        (&thread["messages"][0]["body"], &thread["unread_count"]),
        (&"old".into(), &1.into())
    );
    assert_eq!(mark(&format!("?up_to={}", id("t4"))).await, 1, "t4 came before it");
    assert_eq!(mark(&format!("?up_to={}", id("old"))).await, 0);
    assert_eq!(miscounted(&world.db.url).await, 0);
}

async fn conversations_are_marked_by_hand(db: TestDatabase) {
    let world = World::start(db).await;
    let (home, url) = (&world.home, world.server.url());
    for remote in [&[][..], &["--server", &url]] {
        let run = |args: &[&str]| home.run(&[&["mark"], args, remote].concat());
        for (n, contact) in [CONTACT, OTHER, CONTACT].iter().enumerate() {
            text(&world, contact, &format!("{}-{n}", remote.len())).await;
        }
        run(&["read", CONTACT, "+19995550000"]).exits(3);
        assert_eq!(unread(home, CONTACT), 2, "none is marked if one does not exist");
        let done = run(&["read", CONTACT, CONTACT]).exits(0);
        let id = show(home, CONTACT)["id"].as_str().expect("an id").to_owned();
        assert_eq!((done.line(), done.err.trim()), (&*id, "+12025550113: 2 messages marked read"));
        let done = run(&["read", &id[28..]]).exits(0);
        assert_eq!(done.err.trim(), "+12025550113: nothing was unread");
        let done = run(&["read", "--all"]).exits(0);
        assert_eq!(done.err.trim(), "+13025550002: 1 message marked read");
        assert_eq!(home.run(&["list", "--unread"]).silent().out, "");

        let done = run(&["unread", CONTACT, "--json"]).exits(0);
        assert_eq!(done.json(), home.run(&["list", "--unread", "--json"]).json()[0]);
        assert_eq!(unread(home, CONTACT), 1);
        let done = run(&["unread", CONTACT]).exits(0);
        assert_eq!(done.err.trim(), "+12025550113: it has unread messages already");
        assert_eq!(run(&["unread", "--all"]).exits(0).out.lines().count(), 1);
        assert_eq!(home.run(&["list", "--unread", "--format", "ids"]).out.lines().count(), 2);
        assert_eq!(run(&["read", "--all"]).exits(0).out.lines().count(), 2);
        assert_eq!(run(&["read", "--all"]).exits(0).out, "");
        assert_eq!(miscounted(&world.db.url).await, 0);
    }
    let elsewhere = Event::report("e-out", "m-out", "+13025550003", "delivered").to_string();
    world.signer.post(&world.server, elsewhere).await;
    let done = home.run(&["mark", "unread", "+13025550003"]).exits(0);
    assert_eq!(done.err.trim(), "+13025550003: no inbound message to mark");
    home.run(&["mark", "read"]).exits(2);
    home.run(&["mark", "read", CONTACT, "--all"]).exits(2);
}

async fn a_text_that_arrives_while_others_are_marked_stays_unread(db: TestDatabase) {
    let world = World::start(db).await;
    text(&world, CONTACT, "first").await;
    // Another server on the same database.
    let other = Server::start(&world.home);
    let posted = async {
        for n in 0..40 {
            let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("m{n}"));
            let server = if n % 2 == 0 { &world.server } else { &other };
            assert_eq!(world.signer.post(server, body).await, "stored");
        }
    };
    let marked = async {
        for n in 0..40 {
            let server = if n % 3 == 0 { &world.server } else { &other };
            let seen = server.get(&format!("/conversations/{CONTACT}?limit=1")).await.json();
            let (arrived, newest) = (&seen["arrived"], &seen["messages"][0]["id"]);
            let query = match n % 2 {
                0 => format!("arrived={arrived}"),
                _ => format!("up_to={}", newest.as_str().expect("an id")),
            };
            let path = format!("/conversations/{CONTACT}/read?{query}");
            let then = server.post(&path, "", "{}").await.json();
            // Whoever has seen `arrived` texts has not seen those that came after them.
            let now = server.get(&format!("/conversations/{CONTACT}?limit=1")).await.json();
            let later =
                now["arrived"].as_u64().expect("a number") - arrived.as_u64().expect("a number");
            let unread = now["unread_count"].as_u64().expect("a number");
            // Several servers may date two texts alike, so the newest need not be the last to arrive.
            assert!(n % 2 == 1 || unread <= later, "{unread} of {later}: {then}");
            assert_eq!(miscounted(&world.db.url).await, 0);
        }
    };
    tokio::join!(posted, marked);
    let thread = show(&world.home, CONTACT);
    assert_eq!(thread["arrived"], 41);
    world.home.run(&["mark", "read", CONTACT]).exits(0);
    assert_eq!(unread(&world.home, CONTACT), 0);
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

async fn the_count_is_right_whatever_happens(db: TestDatabase) {
    let world = World::start(db).await;
    let (home, url) = (&world.home, &world.db.url);
    let keep = [("CONVO_KEEP_MESSAGES", "2y"), ("CONVO_KEEP_WEBHOOKS", "forever")];
    let contacts = [CONTACT, OTHER, "+13025550003"];
    let years = 3 * 365 * 86_400 * 1_000_000_i64;
    let mut dice = Dice(20_261_130);
    for step in 0..120 {
        let contact = contacts[dice.roll(contacts.len())];
        let path = format!("/conversations/{contact}");
        match dice.roll(12) {
            0..=4 => text(&world, contact, &format!("s{step}")).await,
            5 => {
                home.run(&["send", contact, "Hi"]).exits(0);
            }
            6 => drop(world.server.post(&format!("{path}/unread"), "", "{}").await),
            7 => drop(world.server.post(&format!("{path}/read"), "", "{}").await),
            8 | 9 => {
                let thread = world.server.get(&path).await.json();
                let Some(messages) = thread["messages"].as_array() else { continue };
                let id = messages[dice.roll(messages.len())]["id"].as_str().expect("an id");
                drop(world.server.post(&format!("{path}/read?up_to={id}"), "", "{}").await);
            }
            10 => {
                // Not always the first to arrive: that leaves gaps.
                let places = ["1 = 1", "arrival > 2", "arrival > 1"];
                let some = places[dice.roll(places.len())];
                let key =
                    format!("(SELECT key FROM conversations WHERE contact_number = '{contact}')");
                let aged = format!(
                    "UPDATE messages SET created_at = created_at - {years} WHERE conversation_key = \
                     {key} AND {some} AND arrival <= (SELECT read_up_to + 2 FROM conversations \
                     WHERE contact_number = '{contact}')"
                );
                execute(url, &aged).await;
                home.run_with(&keep, &["prune"]).exits(0);
            }
            _ if dice.roll(3) == 0 => {
                // Refused while a text is on its way.
                home.run(&["forget", contact, "--yes"]);
            }
            _ => {
                home.run(&["mark", "read", "--all"]).exits(0);
            }
        }
        assert_eq!(miscounted(url).await, 0, "after step {step}");
    }
    text(&world, CONTACT, "unread").await;
    let before = home.run(&["list", "--json"]).json();
    let backup = world.db.dir.path().join("backup.db");
    home.run(&["backup", backup.to_str().expect("UTF-8")]).exits(0);
    let lines = home.run(&["export"]).exits(0).out;

    let restored = TestDatabase::sqlite();
    let target = restored.url.as_str();
    home.run(&["restore", backup.to_str().expect("UTF-8"), "--to", target]).exits(0);
    let there = home.run_with(&[("DATABASE_URL", target)], &["list", "--json"]).json();
    assert_eq!(there, before);
    assert_eq!(miscounted(target).await, 0);
    let imported = TestDatabase::sqlite();
    let target = Home::new().with_database(&imported);
    target.run(&["migrate"]).exits(0);
    target.pipe(&lines, &["import", "-"]).exits(0);
    assert_eq!(target.run(&["list", "--unread"]).silent().out, "", "what an import brings is read");
    let done = target.run(&["mark", "unread", CONTACT]).exits(0);
    assert_eq!(done.err.trim(), "+12025550113: the last message marked unread");
    assert_eq!(unread(&target, CONTACT), 1);
    assert_eq!(miscounted(&imported.url).await, 0);
}

on_both_databases! {
    a_text_is_unread_until_it_is_seen_or_answered,
    a_terminal_marks_what_it_prints,
    a_chat_marks_what_is_on_the_screen,
    a_database_that_cannot_be_changed_is_read_all_the_same,
    what_arrives_late_is_unread_whatever_its_date,
    conversations_are_marked_by_hand,
    a_text_that_arrives_while_others_are_marked_stays_unread,
    the_count_is_right_whatever_happens,
}

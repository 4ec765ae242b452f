//! `convo batch`: a text to many, each row once, here and through a server.

mod killed;
mod pace;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, Home, OWN, TestDatabase, World, connect, execute, inbound, query_one,
};

const RATE: [&str; 2] = ["--rate", "500/s"];
const TEXT: &str = "Hi {name}, order {order}";

/// The number of the nth recipient.
fn number(n: usize) -> String {
    format!("+1212555{n:04}")
}

/// A file of so many recipients.
fn recipients(count: usize) -> String {
    let row = |n: usize| format!("{},Name {n},{n}\n", number(n));
    format!("to,name,order\n{}", (0..count).map(row).collect::<String>())
}

/// `convo batch` on a file, without a question.
fn batch(home: &Home, file: &str, more: &[&str]) -> Done {
    home.run(&[&["batch", file, "--yes"], &RATE[..], more].concat())
}

/// What a run says to people: there may be a summary before its error.
trait Says {
    fn says(self, words: &str) -> Self;
}

impl Says for Done {
    #[track_caller]
    fn says(self, words: &str) -> Self {
        let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(blanks(&self.err).contains(&blanks(words)), "{words}: {}", self.err);
        self
    }
}

/// How often Telnyx was offered each text: by recipient and text. A repeat under the same key counts once.
fn offered(world: &World) -> BTreeMap<(String, String), usize> {
    let mut keys = BTreeMap::new();
    for request in world.telnyx.requests().iter().filter(|request| request.method == "POST") {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let field = |name: &str| body[name].as_str().expect("a text").to_owned();
        keys.insert(request.idempotency_key.clone(), (field("to"), field("text")));
    }
    let mut counts = BTreeMap::new();
    keys.into_values().for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}

/// The rows of the result file: status by recipient.
fn results(home: &Home, name: &str) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(home.file(name)).expect("a result file");
    let header = reader.headers().expect("a header").clone();
    assert_eq!(header.iter().collect::<Vec<_>>(), ["row", "key", "to", "id", "status", "error"]);
    let rows = reader.into_records().map(|row| row.expect("a row"));
    rows.map(|row| (row[2].to_owned(), row[4].to_owned())).collect()
}

async fn each_row_is_sent_once_here_and_there(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for (name, remote) in [("here.csv", &[][..]), ("there.csv", &["--server", &url])] {
        let text = format!("{name}: {TEXT}");
        world.home.write(name, recipients(20));
        let more = [&["--text", &text], remote].concat();
        let done = batch(&world.home, name, &more).exits(0);
        assert_eq!(done.out.lines().count(), 20, "a line for each row");
        done.says("20 texts, 20 segments, 20 in GSM-7, 0 in UCS-2");
        let result = name.replace(".csv", ".result.csv");
        let results = results(&world.home, &result);
        assert!(results.len() == 20 && results.values().all(|status| status != "not_sent"));
        let again = batch(&world.home, name, &more).exits(2);
        again.says("this batch was finished on").says("--id");
    }
    let offered = offered(&world);
    assert_eq!(offered.len(), 40);
    assert!(offered.values().all(|times| *times == 1), "{offered:?}");
    assert!(offered.contains_key(&(number(7), "here.csv: Hi Name 7, order 7".to_owned())));
}

/// The same bytes, but for ids and times.
async fn a_check_says_the_same_here_and_there(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    world.home.run(&["send", &number(1), "please say STOP"]).exits(0);
    world.wait_for_thread(&number(1), |thread| !thread["opted_out_at"].is_null());
    let file = format!("{}{},Name 2,2\n", recipients(4), number(2));
    world.home.write("a.csv", file);
    let check = ["batch", "a.csv", "--text", TEXT, "--dry-run"];
    let here = world.home.run(&check).exits(0);
    let there = world.home.run(&[&check[..], &["--server", &url]].concat()).exits(0);
    assert_eq!((&here.out, &here.err), (&there.out, &there.err));
    let states: Vec<_> = here.out.lines().map(|line| line.split('\t').nth(3)).collect();
    let states: Vec<_> = states.into_iter().map(|state| state.expect("a state")).collect();
    assert_eq!(states, ["new", "opted_out", "new", "new", "double"]);
    for words in ["3 texts", "opted out 1 (line 3)", "repeated rows 1 (line 6)", "about"] {
        here.clone().says(words);
    }
    let json = world.home.run(&[&check[..], &["--json"]].concat()).exits(0);
    let first: Value =
        serde_json::from_str(json.out.lines().next().expect("a line")).expect("JSON");
    let expected = json!({"row": 2, "key": "", "to": number(0), "state": "new",
        "encoding": "GSM-7", "segments": 1});
    assert_eq!(first, expected);
    assert_eq!(world.offers(), 1, "nothing was sent");
    assert!(!world.home.file("a.result.csv").exists());
}

async fn a_file_with_a_bad_row_sends_nothing(db: TestDatabase) {
    let world = World::start(db).await;
    let long = "x".repeat(1_600);
    let file = format!("to,text\n{CONTACT},Hi\n2125551234,Hi\n{CONTACT},\n{CONTACT},{long}\n");
    world.home.write("bad.csv", file);
    let done = batch(&world.home, "bad.csv", &[]).exits(2).says("3 of 4 rows cannot be sent");
    for words in ["line 3: '2125551234' has no country code", "line 4: ", "line 5: "] {
        done.clone().says(words);
    }
    world.home.write("name.csv", "to,name\n+12125551234,\n");
    let empty = batch(&world.home, "name.csv", &["--text", "Hi {name}"]).exits(2);
    empty.says("line 2: the column name is empty");
    for (template, words) in [
        ("Hi {first}", "the template names {first}, which is not a column"),
        ("Hi {name", "without its partner"),
    ] {
        batch(&world.home, "name.csv", &["--text", template]).exits(2).says(words);
    }
    batch(&world.home, "name.csv", &[]).exits(2).says("no column 'text'");
    batch(&world.home, "none.csv", &[]).exits(2).says("cannot read none.csv");
    let unasked = world.home.run(&["batch", "name.csv", "--text", "Hi"]).exits(2);
    unasked.says("cannot be undone").says("--yes");
    assert_eq!(world.offers(), 0);
    assert!(
        world.home.files().iter().all(|name| !name.contains("result") && !name.contains("partial"))
    );
}

async fn a_changed_file_sends_what_is_new_in_it(db: TestDatabase) {
    let world = World::start(db).await;
    let id = ["--id", "orders"];
    world.home.write("a.csv", "key,to,text\n1,+12125550001,One\n2,+12125550002,Two\n");
    batch(&world.home, "a.csv", &id).exits(0);
    // Another order, other texts under known keys, and one more.
    let changed =
        "key,to,text\n3,+12125550003,Three\n2,+12125550002,Two, changed\n1,+12125550001,One\n";
    world.home.write("a.csv", changed.replace("Two, changed", "\"Two, changed\""));
    let done = batch(&world.home, "a.csv", &id).exits(0);
    done.says("sent before   2");
    assert_eq!(world.offers(), 3);
    let results = results(&world.home, "a.result.csv");
    assert_eq!(results.len(), 3, "also what was sent before");
    batch(&world.home, "a.csv", &id).exits(2).says("its --id is orders");
    assert_eq!(world.offers(), 3);
}

async fn what_any_batch_sent_within_a_day_is_a_double(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    world.home.write("a.csv", recipients(3));
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(0);
    world.home.write("b.csv", recipients(4));
    let done = batch(&world.home, "b.csv", &["--text", TEXT, "--server", &url]).exits(0);
    done.says("sent within 24 h 3 (lines 2, 3, 4)");
    assert_eq!(world.offers(), 4);
    let doubles = results(&world.home, "b.result.csv");
    assert_eq!(doubles.values().filter(|status| *status == "double").count(), 3);
    let day = 24 * 3_600 * 1_000_000_i64;
    let age = format!("UPDATE batch_rows SET created_at = created_at - {day}");
    execute(&world.db.url, &age).await;
    batch(&world.home, "b.csv", &["--text", TEXT, "--id", "next-day"]).exits(0);
    assert_eq!(world.offers(), 8);
    // Two batches at the same time: the database decides.
    let body = |row: &str| {
        let place = json!({"id": "rest", "row": row.repeat(32)});
        json!({"message": "The same", "batch": place}).to_string()
    };
    let path = format!("/conversations/{CONTACT}/send");
    let answers = futures_util::future::join_all(["1", "2", "3"].map(|row| {
        let body = body(row);
        let (server, path) = (&world.server, &path);
        async move { server.post(path, "", &body).await.status }
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 2, "{answers:?}");
}

/// The worst row decides, and the others are sent all the same.
async fn the_worst_row_decides_the_exit_code(db: TestDatabase) {
    use convo::sandbox::Behaviour;
    let world = World::with(db, |home| home.set("CONVO_SEND_LIMIT", "2")).await;
    let write = |name: &str, numbers: &[&str]| {
        let rows = numbers.iter().map(|number| format!("{number},{name}\n"));
        world.home.write(name, format!("to,text\n{}", rows.collect::<String>()));
    };
    let (refused, stopped) = (Behaviour::Refused.number(), Behaviour::OptedOut.number());
    write("stopped.csv", &[stopped, CONTACT]);
    let done = batch(&world.home, "stopped.csv", &[]).exits(7);
    done.says("1 opted out");
    write("refused.csv", &[refused, stopped, CONTACT]);
    batch(&world.home, "refused.csv", &[]).exits(6).says("Telnyx refused the message");
    write("limit.csv", &[CONTACT, refused, "+12125550009"]);
    let done = batch(&world.home, "limit.csv", &[]).exits(5).says("2 texts within the last hour");
    done.says("to go on: convo batch limit.csv --id ");
    let results = results(&world.home, "limit.result.csv");
    assert_eq!((results[CONTACT].as_str(), results[refused].as_str()), ("not_sent", "refused"));
    // What was not sent is, once it may be; what was refused is tried again.
    let done = batch(&world.home, "limit.csv", &["--despite-send-limit"]).exits(6);
    done.says("sent before   1");
    write("key.csv", &[Behaviour::Unauthorized.number(), "+12125550008"]);
    batch(&world.home, "key.csv", &[]).exits(4).says("Invalid API key");
}

async fn a_limit_leaves_the_rest_for_later(db: TestDatabase) {
    let world = World::start(db).await;
    world.home.write("a.csv", recipients(5));
    let text = ["--text", TEXT];
    let done = batch(&world.home, "a.csv", &[&text[..], &["--limit", "2"]].concat()).exits(0);
    done.says("3 rows are left; to go on: convo batch a.csv --text");
    assert_eq!(world.offers(), 2);
    let jsonl = batch(&world.home, "a.csv", &[&text[..], &["-L", "1", "--json"]].concat()).exits(0);
    assert_eq!(jsonl.out.lines().count(), 3, "also what was sent before");
    let row = jsonl.out.lines().last().expect("a row");
    let row: Value = serde_json::from_str(row).expect("JSON");
    assert_eq!((&row["row"], &row["to"]), (&4.into(), &number(2).into()));
    batch(&world.home, "a.csv", &text).exits(0);
    assert_eq!((world.offers(), results(&world.home, "a.result.csv").len()), (5, 5));
}

async fn standard_input_and_json_lines_are_read(db: TestDatabase) {
    let world = World::start(db).await;
    let lines = "{\"phone\":\"+1 212 555 0001\",\"text\":\"{braces} stay\",\"key\":7}\n";
    let args = ["batch", "-", "--yes", "--rate", "100/s", "--result", "out.csv", "--wait"];
    let done = world.home.pipe(lines, &args).exits(0);
    let fields: Vec<_> = done.line().split('\t').collect();
    assert_eq!(
        (fields[0], fields[1], fields[2], fields[4]),
        ("1", "7", "+12125550001", "delivered")
    );
    assert_eq!(results(&world.home, "out.csv")["+12125550001"], "delivered");
    assert!(offered(&world).contains_key(&("+12125550001".into(), "{braces} stay".into())));
    world.home.pipe(lines, &["batch", "-"]).exits(2).says("--yes");
    world.home.pipe(lines, &["batch", "-", "--yes", "--wait"]).exits(2).says("--result");
    world.home.write("mine.csv", "precious\n");
    let spoilt = ["batch", "-", "--yes", "--result", "mine.csv"];
    world.home.pipe("to,text\n+12125550002,Hi\n", &spoilt).exits(2).says("not a result file");
}

async fn several_numbers_take_turns_but_a_contact_keeps_its_own(db: TestDatabase) {
    const OTHER: &str = "+15557654321";
    let world =
        World::with(db, |home| home.set("TELNYX_PHONE_NUMBER", format!("{OWN},{OTHER}"))).await;
    let written = inbound("a", "a", &number(0), "Hello").replace(OWN, OTHER);
    assert_eq!(world.signer.post(&world.server, written).await, "stored");
    world.home.write("a.csv", recipients(7));
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(0);
    let mut senders = BTreeMap::new();
    for request in world.telnyx.requests() {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let from = body["from"].as_str().expect("a sender").to_owned();
        if body["to"] == number(0).as_str() {
            assert_eq!(from, OTHER);
        }
        *senders.entry(from).or_insert(0) += 1;
    }
    assert!(senders.values().all(|count| *count >= 3), "{senders:?}");
    world.home.write("from.csv", format!("to,text,from\n{CONTACT},Hi,{OTHER}\n"));
    batch(&world.home, "from.csv", &[]).exits(0);
    let thread = world.home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(thread["messages"][0]["from"], OTHER);
}

/// A name stands for its contact's number, here and there; only the whole name does.
async fn a_recipient_may_be_named(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for (n, name) in [(1, "Ada Byron"), (2, "Bo"), (3, "Twin"), (4, "Twin")] {
        world.home.run(&["name", &number(n), name]).exits(0);
    }
    world.home.write("bad.csv", "to\nada byron\nAda\nTwin\nNobody\n");
    for remote in [&[][..], &["--server", &url]] {
        let bad = batch(&world.home, "bad.csv", &[&["--text", "Hi"], remote].concat()).exits(2);
        bad.says("3 of 4 rows cannot be sent").says("line 3: ").says("line 4: ").says("line 5: ");
    }
    let file = format!("to,text\nada byron,Hi\nBO,Hi\n{},Hi\n", number(1));
    for (text, remote) in [("Hi", &[][..]), ("Ho", &["--server", &url])] {
        let name = format!("{text}.csv");
        world.home.write(&name, file.replace("Hi", text));
        let done = batch(&world.home, &name, remote).exits(0);
        done.says("2 texts").says("repeated rows 1 (line 4)");
        let offered = offered(&world);
        for n in [1, 2] {
            assert_eq!(offered.get(&(number(n), text.to_owned())), Some(&1), "{offered:?}");
        }
    }
    assert_eq!(world.offers(), 4);
}

async fn count(url: &str, table: &str) -> i64 {
    query_one(&connect(url).await, &format!("SELECT count(*) FROM {table}")).await
}

/// What a batch knows of a person goes with the person.
async fn a_forgotten_contact_leaves_no_row(db: TestDatabase) {
    let world = World::start(db).await;
    let silent = convo::sandbox::Behaviour::Silent.number();
    world.home.write("a.csv", format!("to,text\n{silent},Hi\n"));
    batch(&world.home, "a.csv", &["--wait"]).exits(0);
    assert_eq!(count(&world.db.url, "batch_rows").await, 1);
    world.home.run(&["forget", silent, "--yes"]).exits(0);
    assert_eq!(count(&world.db.url, "batch_rows").await, 0);
    assert_eq!(count(&world.db.url, "batches").await, 1);
}

on_both_databases!(
    each_row_is_sent_once_here_and_there,
    a_check_says_the_same_here_and_there,
    a_file_with_a_bad_row_sends_nothing,
    a_changed_file_sends_what_is_new_in_it,
    what_any_batch_sent_within_a_day_is_a_double,
    the_worst_row_decides_the_exit_code,
    a_limit_leaves_the_rest_for_later,
    standard_input_and_json_lines_are_read,
    several_numbers_take_turns_but_a_contact_keeps_its_own,
    a_recipient_may_be_named,
    a_forgotten_contact_leaves_no_row,
);

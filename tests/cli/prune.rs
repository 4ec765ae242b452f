//! `convo prune`, and what a server removes by itself: what is too old goes, with everything that belongs to
//! it, and what stays is counted right.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    Event, Home, Server, Signer, TestDatabase, World, connect, eventually, example, execute,
    inbound, query_one,
};

/// Makes everything that is stored three years older, except the texts that say that they are new.
async fn age(url: &str) {
    let years = 3 * 365 * 86_400 * 1_000_000_i64;
    for (table, columns, rows) in [
        ("messages", &["created_at"][..], "body NOT LIKE 'new%'"),
        ("events", &["occurred_at", "received_at"][..], "1 = 1"),
        ("idempotency_keys", &["created_at"][..], "1 = 1"),
    ] {
        let set: Vec<_> = columns.iter().map(|c| format!("{c} = {c} - {years}")).collect();
        execute(url, &format!("UPDATE {table} SET {} WHERE {rows}", set.join(", "))).await;
    }
}

async fn count(url: &str, table: &str) -> i64 {
    query_one(&connect(url).await, &format!("SELECT count(*) FROM {table}")).await
}

/// A contact that never answers.
const CONTACT: &str = "+12025550113";
const OTHER: &str = "+13125550001";

/// A conversation with old and new texts, one with an undecided one, and one with old texts only.
async fn filled(db: TestDatabase) -> (World, String) {
    let world = World::start(db).await;
    for n in 0..3 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("old {n}"));
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let sent = world.home.run(&["send", CONTACT, "old and sent"]).exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &sent, "delivered");
    let new = world.home.run(&["send", CONTACT, "new"]).exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &new, "delivered");
    for n in 0..250 {
        let body = inbound(&format!("o{n}"), &format!("p{n}"), OTHER, &format!("old {n}"));
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    world.wait_until_counted();
    let url = world.db.url.clone();
    age(&url).await;
    (world, url)
}

async fn what_is_too_old_goes_and_what_stays_is_counted(db: TestDatabase) {
    let (world, url) = filled(db).await;
    let home = &world.home;
    let cursor =
        world.server.get("/events").await.json()["next"].as_str().expect("next").to_owned();
    let gone = home.run(&["show", OTHER, "--json"]).json()["id"].clone();
    let keep = [("CONVO_KEEP_MESSAGES", "2y"), ("CONVO_KEEP_WEBHOOKS", "90d")];
    let events = count(&url, "events").await;
    let prune = |args: &[&str]| {
        home.run_with(&keep, &[&["prune", "--json"][..], args].concat()).silent().json()
    };
    let counted = prune(&["--dry-run"]);
    assert_eq!(counted["dry_run"], true);
    assert_eq!(count(&url, "events").await, events, "nothing has changed");
    assert_eq!(count(&url, "messages").await, 255, "nothing has changed");
    let pruned = prune(&[]);
    for field in ["webhooks", "feed", "messages", "conversations", "idempotency_keys"] {
        assert_eq!(pruned[field], counted[field], "{field}");
    }
    assert_eq!(pruned["messages"], 254);
    assert_eq!(pruned["conversations"], 1);
    assert_eq!(pruned["webhooks"], events);
    let left = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(left["message_count"], 1);
    assert_eq!(left["messages"][0]["body"], "new");
    assert_eq!(left["last_message_at"], left["messages"][0]["created_at"]);
    assert_eq!(home.run(&["list", "--json"]).silent().json().as_array().map(Vec::len), Some(1));
    home.run(&["show", OTHER]).exits(3);
    for (table, rows) in [("events", 0), ("messages", 1), ("idempotency_keys", 0)] {
        assert_eq!(count(&url, table).await, rows, "{table}");
    }
    // Only the new message has reports.
    let of = "SELECT count(*) FROM delivery_reports WHERE telnyx_message_id NOT IN \
              (SELECT telnyx_message_id FROM messages WHERE telnyx_message_id IS NOT NULL)";
    assert_eq!(query_one::<i64>(&connect(&url).await, of).await, 0);
    // Whoever follows the feed is told, and everything goes on.
    let page = world.server.get(&format!("/events?after={cursor}")).await.json();
    let removed: Vec<&Value> = page["events"].as_array().expect("events").iter().collect();
    assert_eq!(removed.len(), 1, "{page}");
    assert_eq!((&removed[0]["kind"], &removed[0]["conversation_id"]), (&json!("removed"), &gone));
    let body = inbound("again", "again", OTHER, "new again");
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    assert_eq!(home.run(&["show", OTHER, "--json"]).json()["message_count"], 1);
    assert_eq!(prune(&[])["messages"], 0, "nothing is left to do");
}

/// What is undecided stays, however old.
async fn an_undecided_message_stays(db: TestDatabase) {
    let home = Home::new().with_database(&db);
    let signer = Signer::new(7);
    let home = home.accepting(&signer);
    let server = Server::start(&home);
    for n in 0..2 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("old {n}"));
        assert_eq!(signer.post(&server, body).await, "stored");
    }
    drop(server);
    age(&db.url).await;
    // As the row of a text would be that was scheduled long ago.
    execute(&db.url, "UPDATE messages SET status_rank = 20, direction = 1 WHERE body = 'old 1'")
        .await;
    let pruned = home.run_with(&[("CONVO_KEEP_MESSAGES", "1d")], &["prune"]).silent();
    assert!(pruned.out.contains("messages\t1\nconversations\t0\n"), "{}", pruned.out);
    assert_eq!(home.run(&["show", CONTACT, "--json"]).json()["message_count"], 1);
}

/// A message is answered once, however late, though the keys of other sends expire.
async fn the_key_of_an_answer_stays(db: TestDatabase) {
    let world = World::start(db).await;
    let body = inbound("e", "m", CONTACT, "old question");
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    let question = world.home.run(&["show", CONTACT, "--json"]).json()["messages"][0]["id"].clone();
    let answer = ["send", CONTACT, "new answer", "--reply-to", question.as_str().expect("an id")];
    let sent = world.home.run(&answer).exits(0).id().to_owned();
    world.home.run(&["send", CONTACT, "new by itself"]).exits(0);
    age(&world.db.url).await;
    let pruned = world.home.run(&["prune", "--json"]).silent().json();
    assert_eq!(pruned["idempotency_keys"], 1, "{pruned}");
    assert_eq!(world.home.run(&answer).exits(0).id(), sent);
}

/// Keys of answers, of which there may be more than are looked at together, hide no key that has expired.
async fn keys_of_answers_hide_no_other(db: TestDatabase) {
    let world = World::start(db).await;
    world.home.run(&["send", CONTACT, "new"]).exits(0);
    let pool = connect(&world.db.url).await;
    let bytes = if world.db.url.starts_with("sqlite") { "X'00'" } else { "'\\x00'" };
    let columns = "INSERT INTO idempotency_keys (key, request_hash, message_id, created_at)";
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)";
    // All of one time, and in the order of their keys the one that has expired comes after the others.
    let key = "'reply:0190a1b2-c3d4-7000-8000-5e6f7081' || (1000 + i)";
    let old = format!(
        "{columns} {numbers} SELECT {key}, {bytes}, message_id, 7 FROM n, idempotency_keys"
    );
    execute(&world.db.url, &old).await;
    let other =
        format!("{columns} SELECT 'zebra', {bytes}, message_id, 7 FROM idempotency_keys LIMIT 1");
    execute(&world.db.url, &other).await;
    let prune = |args: &[&str]| {
        let pruned = world.home.run(&[&["prune", "--json"][..], args].concat()).silent().json();
        pruned["idempotency_keys"].clone()
    };
    assert_eq!(prune(&["--dry-run"]), 1);
    assert_eq!(prune(&[]), 1);
    assert_eq!(prune(&[]), 0);
    let left = "SELECT count(*) FROM idempotency_keys";
    assert_eq!(query_one::<i64>(&pool, left).await, 1201);
}

/// A server does it by itself, and does not store again what it would remove.
async fn a_server_removes_what_is_too_old(db: TestDatabase) {
    let (mut world, url) = filled(db).await;
    let home = std::mem::replace(&mut world.home, Home::new());
    let home = home.set("CONVO_KEEP_MESSAGES", "2y").set("CONVO_KEEP_WEBHOOKS", "1d");
    let server = Server::start(&home);
    eventually("old rows to be removed", async || {
        count(&url, "events").await == 0 && count(&url, "messages").await == 1
    })
    .await;
    let late = Event::inbound("late", "late", OTHER, "late").received_at("2020-01-01T00:00:00Z");
    assert_eq!(world.signer.post(&server, late.to_string()).await, "ignored");
    home.run(&["show", OTHER]).exits(3);
    // A report about the message of another program does not bring the message back either.
    let report = String::from_utf8(example("finalized_failed")).expect("UTF-8");
    let report = report.replace("2026-", "2020-");
    assert_eq!(world.signer.post(&server, report).await, "updated");
    assert_eq!(count(&url, "messages").await, 1);
}

on_both_databases! {
    what_is_too_old_goes_and_what_stays_is_counted,
    an_undecided_message_stays,
    the_key_of_an_answer_stays,
    keys_of_answers_hide_no_other,
    a_server_removes_what_is_too_old,
}

/// After `--compact`, the bytes of what was removed are not in the file, and it is smaller.
#[tokio::test(flavor = "multi_thread")]
async fn compacting_leaves_no_remains() {
    let (world, _) = filled(TestDatabase::sqlite()).await;
    let file = world.db.file();
    let holds = |text: &str| {
        let wal = file.with_extension("db-wal");
        let bytes =
            [std::fs::read(&file).unwrap_or_default(), std::fs::read(wal).unwrap_or_default()];
        bytes.concat().windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(holds("old and sent"));
    let keep = [("CONVO_KEEP_MESSAGES", "2y"), ("CONVO_KEEP_WEBHOOKS", "90d")];
    let done = world.home.run_with(&keep, &["prune", "--compact", "--json"]).silent().json();
    assert!(done["bytes_after"].as_u64() < done["bytes_before"].as_u64(), "{done}");
    assert!(!holds("old and sent") && !holds(OTHER) && !holds("old 1"), "remains");
    assert!(holds("new"));
}

/// An age without its unit is refused: it could be taken for days.
#[test]
fn an_age_needs_a_unit() {
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db);
    for name in ["CONVO_KEEP_WEBHOOKS", "CONVO_KEEP_MESSAGES", "CONVO_KEEP_FEED"] {
        home.run_with(&[(name, "90")], &["prune"]).exits(2).reports("is not a valid age");
    }
    home.run_with(&[("CONVO_SERVER", "http://127.0.0.1:1")], &["prune"]).exits(2);
}

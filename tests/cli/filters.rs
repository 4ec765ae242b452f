//! `convo list` with its filters, here, there and over the REST API.

use convo::sandbox::Behaviour;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{
    Event, Home, OWN, Server, TestDatabase, World, connect, eventually, insert_numbered, query_one,
};

const OTHER_OWN: &str = "+15557654321";

/// A contact's text that came when the second number says, to one of our numbers.
fn received(n: u32, from: &str, to: &str, at: &str) -> Event {
    let event = Event::inbound(&format!("e{n}"), &format!("m{n}"), from, "Hi").received_at(at);
    event.with("to", json!([{"phone_number": to}]))
}

/// Threads of every kind.
async fn filled(db: TestDatabase) -> World {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    for (n, (from, to, at)) in (0..).zip([
        ("+12125559001", OWN, "2026-01-01T12:00:00Z"),
        ("+12125559002", OTHER_OWN, "2026-02-01T12:00:00Z"),
        ("+12125559003", OTHER_OWN, "2026-03-01T12:00:00.5Z"),
        ("72975", OWN, "2026-03-01T12:00:00.5Z"),
    ]) {
        world.signer.post(&world.server, received(n, from, to, at).to_string()).await;
    }
    let stop = received(9, "+12125559004", OWN, "2026-04-01T12:00:00Z").autoresponse("STOP");
    world.signer.post(&world.server, stop.to_string()).await;
    for (behaviour, status) in [
        (Behaviour::Silent, "delivered"),
        (Behaviour::Refused, "sending_failed"),
        (Behaviour::Undeliverable, "delivery_failed"),
        (Behaviour::Vanished, "unknown"),
    ] {
        // A report may be there before the send's own answer: the exit code is not the point here.
        let id = world.home.run(&["send", behaviour.number(), "Hi"]).id().to_owned();
        world.wait_for_message(behaviour.number(), &id, status);
    }
    world
}

/// The contacts that a list shows.
#[track_caller]
fn contacts(world: &World, filter: &[&str]) -> Vec<String> {
    let done = same(world, &[&["list", "--json"], filter].concat()).silent();
    let list = done.json();
    let contact = |thread: &Value| thread["contact_number"].as_str().expect("one").to_owned();
    list.as_array().expect("an array").iter().map(contact).collect()
}

async fn each_filter_selects_its_conversations(db: TestDatabase) {
    let world = filled(db).await;
    let silent = Behaviour::Silent.number();
    let (refused, lost) = (Behaviour::Refused.number(), Behaviour::Vanished.number());
    let failed = Behaviour::Undeliverable.number();
    let (one, two, three) = ("+12125559001", "+12125559002", "+12125559003");
    let stopped = "+12125559004";
    let sent = [lost, failed, refused, silent];
    let all = contacts(&world, &[]);
    assert_eq!(all.len(), 9);
    for (filter, expected) in [
        (&["--status", "delivered"][..], &[silent][..]),
        (&["--status", "unknown,sending_failed"], &[lost, refused]),
        (&["--status", "undelivered"], &[failed]),
        (&["--status", "queued"], &[]),
        (&["--status", "failed"], &[failed, refused]),
        (&["--status", "open"], &[lost]),
        (&["--status", "open,delivered"], &[lost, silent]),
        (&["--contact", "+1 (212) 555-9002"], &[two]),
        (&["--contact", "72975", "--direction", "inbound"], &["72975"]),
        (&["--contact", two, "--direction", "outbound"], &[]),
        (&["--contact", "+19995550000"], &[]),
        (&["--direction", "outbound"], &sent),
        (&["--direction=inbound", "--limit=1"], &[stopped]),
        (&["--direction", "inbound", "--status", "delivered"], &[]),
        (&["--number", OTHER_OWN], &[three, two]),
        (&["--number", "+1 (555) 765-4321", "--reverse"], &[two, three]),
        (&["--number", OWN, "--direction", "outbound"], &sent),
        (&["--number", "+19995550000"], &[]),
        (&["--opted-out"], &[stopped]),
        (&["--opted-out", "--direction", "outbound"], &[]),
        (&["--reverse", "--limit", "2"], &[one, two]),
        (&["--since", "2026-03-15"], &[lost, failed, refused, silent, stopped]),
        (&["--since", "2026-04-01T12:00:00Z", "--direction", "inbound"], &[stopped]),
        (&["--since", "2026-04-01T14:00:00.000001+02:00", "--direction", "inbound"], &[]),
        (&["--since", "1h"], &sent),
        (&["--since", "2026-01-15", "--until", "2026-03-01T12:00:00.5Z"], &[two]),
        (&["--since", "2026-01-01 12:00", "--until", "2026-02-01 12:01", "--utc"], &[two, one]),
        (&["--until", "2026-01-02", "--reverse"], &[one]),
        (&["--since", "2026-06-01", "--until", "1h"], &[]),
        (&["--since", "90m", "--reverse", "--status", "delivered,unknown"], &[silent, lost]),
    ] {
        assert_eq!(contacts(&world, filter), expected, "{filter:?}");
    }
    let mut reversed = contacts(&world, &["--reverse"]);
    reversed.reverse();
    assert_eq!(reversed, all);
    for form in ["table", "json", "jsonl", "csv", "ids"] {
        for filter in [&["--direction", "inbound"][..], &["--status", "read"], &["--reverse"]] {
            same(&world, &[&["list", "--format", form], filter].concat()).silent();
        }
    }
    let none = same(&world, &["list", "--format", "table", "--status", "read"]).silent();
    assert_eq!(none.out, "No conversation matches.\n");
}

/// Follows `Link` to the end; the ids on each page.
async fn walk(server: &Server, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let rows = page.json();
        let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
        pages.push(rows.as_array().expect("an array").iter().map(id).collect());
        next = page.next(&path);
    }
    pages
}

async fn pages_keep_the_filter_and_repeat_no_conversation(db: TestDatabase) {
    let world = filled(db).await;
    let at = &world.server;
    for (filter, parameters) in [
        (&["--direction", "inbound"][..], "direction=inbound"),
        (&["--reverse"], "reverse=true"),
        (
            &["--number", OWN, "--since", "2026-01-02"],
            "number=%2B1+555-123-4567&since=2026-01-02T00:00:00Z",
        ),
        (
            &["--contact", "+12125559002", "--until", "2026-02-02"],
            "contact=%2B12125559002&until=2026-02-02T00:00:00Z",
        ),
        (&["--status", "failed"], "status=failed"),
        (&["--status", "received,unknown", "--reverse"], "status=received,unknown&reverse=true"),
    ] {
        let listed = world.home.run(&[&["list", "--format", "ids"], filter].concat()).silent().out;
        let listed: Vec<_> = listed.lines().map(str::to_owned).collect();
        let pages = walk(at, &format!("/conversations?limit=2&{parameters}")).await;
        assert_eq!(pages.concat(), listed, "{parameters}");
        let streamed = at.get(&format!("/conversations?{parameters}")).await.json();
        assert_eq!(streamed.as_array().map(Vec::len), Some(listed.len()), "{parameters}");
    }
    // From old to new, too: whoever becomes active meanwhile moves behind the end.
    let page = at.get("/conversations?limit=3&reverse=true").await;
    let next = page.next("/conversations").expect("a link");
    let now = convo::clock::now().to_string();
    world.signer.post(at, received(77, "+12125559001", OWN, &now).to_string()).await;
    let rest = walk(at, &next).await.concat();
    assert_eq!(rest.len(), 6, "{rest:?}");
    let first = page.json()[0]["id"].as_str().expect("an id").to_owned();
    assert!(!rest.contains(&first));
}

async fn invalid_filters_are_named(db: TestDatabase) {
    let world = World::start(db).await;
    for (args, expected) in [
        (["--status", "deliverd"], "'deliverd'"),
        (["--direction", "sideways"], "'sideways'"),
        (["--number", "5551234567"], "no country code"),
        (["--since", "tomorrow"], "09:00, 2026-11-22"),
        (["--until", "25:00"], "yesterday, 09:00"),
        (["--limit", "0"], "give a whole number, 1 or more"),
        (["--timeout", "3s"], "--timeout"),
    ] {
        let done = same(&world, &[&["list", "--json"][..], &args].concat()).exits(2);
        let message = done.error()["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    for (query, code) in [
        ("status=deliverd", "invalid_request"),
        ("status=", "invalid_request"),
        ("direction=up", "invalid_request"),
        ("number=5551234567", "invalid_number"),
        ("since=2h", "invalid_request"),
        ("since=2026-11-22T13:00:00", "invalid_request"),
        ("opted_out=yes", "invalid_request"),
        ("reverse=true&reverse=true", "invalid_request"),
        ("contact=", "invalid_request"),
        ("until=2h", "invalid_request"),
        ("contakt=1", "unknown_parameter"),
    ] {
        let answer = world.server.get(&format!("/conversations?{query}")).await;
        assert_eq!(answer.status_and_code(), (400, code.to_owned()), "{query}: {}", answer.body);
    }
}

async fn a_plus_that_became_a_space_is_understood(db: TestDatabase) {
    let world = filled(db).await;
    let get = async |path: &str| {
        let answer = world.server.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    };
    for (given, encoded) in [
        ("number=+15557654321", "number=%2B15557654321"),
        ("number=%20+1+(555)+765-4321", "number=%2B15557654321"),
        ("since=2026-04-01T14:00:00+02:00", "since=2026-04-01T12:00:00Z"),
        ("since=2026-04-01T14:00:00.000001+02:00", "since=2026-04-01T14:00:00.000001%2B02:00"),
    ] {
        let rows = get(&format!("/conversations?{given}")).await;
        assert_eq!(rows, get(&format!("/conversations?{encoded}")).await, "{given}");
        assert!(!rows.as_array().expect("an array").is_empty(), "{given}");
    }
    let contact = "/conversations/+12125559003";
    let thread = get(contact).await;
    for path in ["/conversations/%2012125559003", "/conversations/%201%20(212)%20555-9003"] {
        assert_eq!(get(path).await, thread, "{path}");
    }
    for (before, found) in [("2026-03-01T14:00:01+02:00", 1), ("2026-03-01T14:00:00.5+02:00", 0)] {
        let page = get(&format!("{contact}?limit=5&before={before}")).await;
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(found), "{before}");
    }
    let dry_run = "/conversations/%2012125551234/send?dry_run=true";
    let plan = world.server.post(dry_run, "", r#"{"message":"Hi"}"#).await;
    assert_eq!((plan.status, &plan.json()["to"]), (200, &json!("+12125551234")));
    for path in ["/conversations?number=17735550002", "/conversations?number=+07735550002"] {
        let refused = world.server.get(path).await;
        assert_eq!(refused.status_and_code(), (400, "invalid_number".into()), "{path}");
    }
}

/// Asserts that each filter finds a conversation exactly if its last message matches.
async fn assert_filters_follow(world: &World, statuses: &[&str]) {
    let list = world.server.get("/conversations").await.json();
    let mut last = Vec::new();
    for row in list.as_array().expect("an array") {
        let id = row["id"].as_str().expect("an id");
        let thread = world.server.get(&format!("/conversations/{id}?limit=1")).await.json();
        last.push((id.to_owned(), thread["messages"][0].clone()));
    }
    let check = async |query: String, matches: &dyn Fn(&Value) -> bool| {
        let expected = last.iter().filter(|(_, message)| matches(message)).map(|(id, _)| id);
        let found = walk(&world.server, &format!("/conversations?limit=2&{query}")).await.concat();
        assert!(found.iter().eq(expected), "{query}: {found:?} {last:#?}");
    };
    let own = |message: &Value| match message["direction"] == "inbound" {
        true => message["to"].clone(),
        false => message["from"].clone(),
    };
    for direction in ["inbound", "outbound"] {
        check(format!("direction={direction}"), &|message| message["direction"] == direction).await;
        for number in [OWN, OTHER_OWN] {
            let query = format!("direction={direction}&number={number}");
            let matches =
                |message: &Value| message["direction"] == direction && own(message) == number;
            check(query, &matches).await;
        }
    }
    for number in [OWN, OTHER_OWN, "+19995550000"] {
        check(format!("number={number}"), &|message| own(message) == number).await;
    }
    for status in statuses {
        check(format!("status={status}"), &|message| {
            status.split(',').any(|status| message["status"] == status)
        })
        .await;
    }
}

/// Messages come late, at once, and with one time; filters are about the last one all the same.
async fn filters_follow_the_last_message(db: TestDatabase) {
    let world = World::start(db).await;
    let statuses = [
        "received",
        "delivered",
        "sent",
        "sent,delivery_failed",
        "received,sent",
        "read,delivered",
    ];
    let (early, late) = ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z");
    let contact = |n: u32| format!("+1212555900{n}");
    let report = |n: u32, of: u32, status: &str, from: &str| {
        let event = Event::report(&format!("e{n}"), &format!("m{of}"), &contact(of % 10), status);
        event.with("from", json!({"phone_number": from})).to_string()
    };
    let events = [
        received(11, &contact(1), OWN, late).to_string(),
        received(21, &contact(1), OTHER_OWN, early).to_string(),
        received(12, &contact(2), OWN, late).to_string(),
        received(22, &contact(2), OTHER_OWN, late).to_string(),
        received(13, &contact(3), OWN, early).to_string(),
        report(33, 3, "sent", OTHER_OWN),
        report(34, 3, "delivered", OTHER_OWN),
        report(35, 4, "delivery_failed", OWN),
        report(36, 5, "sent", OWN),
        received(15, &contact(5), OWN, "2026-11-25T12:00:00Z").to_string(),
        received(16, &contact(6), OTHER_OWN, late).to_string(),
        report(37, 6, "sent", OWN),
    ];
    for event in events {
        world.signer.post(&world.server, event).await;
        assert_filters_follow(&world, &statuses).await;
    }
    // Many at once.
    let posts = (0..40).map(|n| {
        let at = if n % 3 == 0 { late } else { "2026-03-03T12:00:00Z" };
        let to = if n % 2 == 0 { OWN } else { OTHER_OWN };
        let event = received(100 + n, &contact(n % 7), to, at).to_string();
        world.signer.post(&world.server, event)
    });
    futures_util::future::join_all(posts).await;
    assert_filters_follow(&world, &statuses).await;
}

on_both_databases!(
    filters_follow_the_last_message,
    a_plus_that_became_a_space_is_understood,
    each_filter_selects_its_conversations,
    pages_keep_the_filter_and_repeat_no_conversation,
    invalid_filters_are_named,
    a_rare_match_is_found_in_bounded_steps,
);

/// One message of ours, behind 12,000 threads whose contacts wrote last.
async fn with_a_rare_match(db: &TestDatabase, route: &str) -> Home {
    let home = Home::new().with_database(db);
    home.run(&["migrate"]).exits(0);
    let direct = connect(&db.url).await;
    let conversation = [
        ("id", "{id:01a00000}"),
        ("contact_number", "'+1' || (2000000000 + i)"),
        ("message_count", "1"),
        ("last_message_at", "i"),
        ("created_at", "i"),
        ("last_route", route),
    ];
    insert_numbered(&direct, "conversations", 12_000, &conversation).await;
    let message = [
        ("id", "{id:01b00000}"),
        ("conversation_key", "i"),
        ("direction", "CASE WHEN i = 5 THEN 1 ELSE 0 END"),
        ("from_number", "'+15551234567'"),
        ("to_number", "'+15557654321'"),
        ("body", "'Hi'"),
        ("status_rank", "CASE WHEN i = 5 THEN 100 ELSE 130 END"),
        ("created_at", "i"),
    ];
    insert_numbered(&direct, "messages", 12_000, &message).await;
    direct.close().await.expect("closed");
    home
}

/// How many messages the statements on a PostgreSQL server have read so far.
async fn messages_read(db: &TestDatabase) -> i64 {
    let direct = connect(&db.url).await;
    let sql = "SELECT (COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))::bigint \
               FROM pg_stat_user_tables WHERE relname = 'messages'";
    let read = query_one(&direct, sql).await;
    direct.close().await.expect("closed");
    read
}

/// Which conversations may match is told by an index, without reading their messages.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_reads_few_messages() {
    let db = TestDatabase::postgres().await;
    let home = with_a_rare_match(
        &db,
        "CASE WHEN i = 5 THEN 'out:+15551234567' ELSE 'in:+15557654321' END",
    )
    .await;
    assert_eq!(home.run(&["list", "--format", "ids"]).silent().out.lines().count(), 12_000);
    // A process has reported what it read when it is gone.
    eventually("the list to be counted", async || messages_read(&db).await >= 12_000).await;
    let before = messages_read(&db).await;
    for filter in [["--direction", "outbound"], ["--number", OWN], ["--status", "undelivered"]] {
        let list = [&["list", "--format", "ids"][..], &filter].concat();
        let found = home.run(&list).silent().out;
        assert_eq!(found.trim(), "01a00000-0000-7000-8000-000000000005", "{filter:?}");
    }
    eventually("the filters to be counted", async || messages_read(&db).await > before).await;
    let read = messages_read(&db).await - before;
    assert!(read < 100, "{read} messages were read");
}

async fn a_rare_match_is_found_in_bounded_steps(db: TestDatabase) {
    // Every last message must be looked at.
    let home = with_a_rare_match(&db, "NULL").await;
    let server = Server::start(&home);
    let found = "01a00000-0000-7000-8000-000000000005";
    let pages = walk(&server, "/conversations?limit=100&direction=outbound").await;
    assert_eq!(pages, [vec![], vec![], vec![found.to_owned()]]);
    let pages = walk(&server, "/conversations?limit=100&status=delivery_failed").await;
    assert_eq!(pages, [[found]], "one glance a thread looks far");
    for wish in ["direction=outbound", "status=delivery_failed"] {
        let streamed = server.get(&format!("/conversations?{wish}")).await;
        assert_eq!(streamed.json()[0]["id"], found);
    }
    for remote in [&[][..], &["--server", &server.url()]] {
        for extent in [&[][..], &["--limit", "1"], &["--reverse"]] {
            let args = ["list", "--direction", "outbound", "--format", "ids"];
            assert_eq!(home.run(&[&args, extent, remote].concat()).silent().out.trim(), found);
        }
        let all = home.run(&[&["list", "--format", "ids"], remote].concat()).silent().out;
        assert_eq!(all.lines().count(), 12_000);
    }
}

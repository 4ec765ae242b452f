//! `convo stats` and `GET /stats`: the figures are those of the messages, whoever asks and whatever happens.

use std::time::Duration;

use convo::domain::{StatsBy, StatsQuery};
use convo::sandbox::Behaviour;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{
    CONTACT, Event, Home, OWN, TestDatabase, World, connect, execute, inbound, insert_numbered,
    open, query_one,
};

const GROUPINGS: [&str; 5] = ["day", "contact", "number", "status", "error"];
const OTHER: &str = "+13125550001";

/// The total that a command prints.
fn total(home: &Home, filter: &[&str]) -> Value {
    let args = [&["stats", "--json"], filter].concat();
    home.run(&args).silent().json()["total"].clone()
}

/// The keys of the groups with how many messages each has.
fn groups(stats: &Value) -> Vec<(String, u64)> {
    let rows = stats["rows"].as_array().expect("rows").iter();
    let count = |row: &Value, name: &str| row[name].as_u64().expect("a count");
    rows.map(|row| {
        let key = row["key"].as_str().expect("a key").to_owned();
        (key, count(row, "inbound") + count(row, "outbound"))
    })
    .collect()
}

async fn figures_are_those_of_the_messages(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    assert_eq!(total(&world.home, &[])["outbound"], 0);
    for (behaviour, status) in [
        (Behaviour::Silent, "delivered"),
        (Behaviour::Refused, "sending_failed"),
        (Behaviour::Undeliverable, "delivery_failed"),
    ] {
        let id = world.home.run(&["send", behaviour.number(), "Hello"]).id().to_owned();
        world.wait_for_message(behaviour.number(), &id, status);
    }
    for n in 0..2 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), OTHER, "Hi");
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let stats = same(&world, &["stats", "--json"]).silent().json();
    let total = &stats["total"];
    for (name, count) in
        [("inbound", 2), ("outbound", 3), ("delivered", 1), ("failed", 2), ("open", 0)]
    {
        assert_eq!(total[name], count, "{name}: {stats}");
    }
    assert_eq!(total["delivery_rate"], json!(0.3333));
    assert_eq!(total["cost"][0]["currency"], "USD");
    let times = total["delivery_times"].as_object().expect("times").values();
    assert_eq!(times.filter_map(Value::as_u64).sum::<u64>(), 1);
    assert!(stats["errors"][0]["hint"].is_string(), "{stats}");
    assert_eq!(stats["complete"], true);
    for by in GROUPINGS {
        for format in ["table", "json", "jsonl", "csv", "ids"] {
            same(&world, &["stats", "--by", by, "--format", format]).silent();
        }
        same(&world, &["stats", "--by", by, "--since", "1h", "--limit", "2"]).silent();
    }
    for (filter, count) in [
        (&["--contact", OTHER][..], 2),
        (&["--contact", "+19995550000"], 0),
        (&["--direction", "inbound"], 2),
        (&["--status", "failed"], 2),
        (&["--status", "delivered", "--number", OWN], 1),
        (&["--number", "+15550000000"], 0),
        (&["--until", "2020-01-01"], 0),
    ] {
        for by in GROUPINGS {
            let args = [&["stats", "--json", "--by", by], filter].concat();
            let stats = same(&world, &args).silent().json();
            let total = &stats["total"];
            let all = total["inbound"].as_u64().zip(total["outbound"].as_u64());
            assert_eq!(all.map(|(one, other)| one + other), Some(count), "{args:?}: {stats}");
            let grouped: u64 = groups(&stats).iter().map(|(_, count)| count).sum();
            assert!(by == "error" || grouped == count, "{args:?}: {stats}");
        }
    }
    for bad in ["by=week", "utc_offset=1", "limit=0", "q=x", "number=1"] {
        assert_eq!(world.server.get(&format!("/stats?{bad}")).await.status, 400, "{bad}");
    }
    world.home.run(&["stats", "--by", "week"]).exits(2);
}

const MANY: u32 = 10_000;
/// When the first of many messages is dated, 15 seconds after a quarter of an hour, and the time between two
/// of them, in microseconds: they last three days.
const FIRST: i64 = 1_781_793_015_000_000;
const STEP: i64 = 26_000_000;

/// Messages as an earlier release or an import leaves them: not in the feed.
async fn old_messages(db: &TestDatabase) -> Home {
    let home = Home::new().with_database(db);
    home.run(&["migrate"]).exits(0);
    let direct = connect(&db.url).await;
    let at = FIRST.to_string();
    let conversation = [
        ("id", "{id:01a00000}"),
        ("contact_number", "'+1212555000' || i"),
        ("message_count", "3000"),
        ("last_message_at", at.as_str()),
        ("created_at", at.as_str()),
    ];
    insert_numbered(&direct, "conversations", 3, &conversation).await;
    let created_at = format!("{FIRST} + CAST(i AS bigint) * {STEP}");
    let message = [
        ("id", "{id:01b00000}"),
        ("conversation_key", "1 + i % 3"),
        ("direction", "i % 2"),
        ("from_number", "'+15551234567'"),
        ("to_number", "'+15551234567'"),
        ("body", "'text'"),
        ("segments", "1 + i % 2"),
        ("cost_amount", "CASE i % 2 WHEN 1 THEN '0.0001' END"),
        ("cost_currency", "CASE i % 2 WHEN 1 THEN 'USD' END"),
        ("status_rank", "CASE i % 2 WHEN 0 THEN 130 WHEN 1 THEN 100 + i % 5 / 4 * 10 END"),
        ("created_at", created_at.as_str()),
    ];
    insert_numbered(&direct, "messages", MANY, &message).await;
    direct.close().await.expect("closed");
    home
}

/// How many of them are dated from one number of microseconds on and before another.
fn dated(from: i64, until: i64) -> u64 {
    let at = |n: &i64| FIRST + n * STEP;
    (1..=i64::from(MANY)).filter(|n| (from..until).contains(&at(n))).count() as u64
}

async fn sums_of_many_messages_are_those_of_a_count(db: TestDatabase) {
    let home = old_messages(&db).await;
    let all = total(&home, &[]);
    assert_eq!((&all["inbound"], &all["outbound"]), (&json!(5_000), &json!(5_000)));
    assert_eq!(all["segments"], 15_000);
    assert_eq!(all["cost"], json!([{"amount": "0.50", "currency": "USD"}]));
    assert_eq!((&all["delivered"], &all["delivery_rate"]), (&json!(1_000), &json!(0.2)));
    let stored = connect(&db.url).await;
    let blocks = query_one::<i64>(&stored, "SELECT count(*) FROM stats_blocks");
    assert_eq!(blocks.await, 3, "too many messages are divided");
    // Also in the midst of a quarter of an hour, and within one.
    let (minute, day) = (60_000_000, 86_400_000_000);
    for (from, until) in [
        (FIRST + STEP, FIRST + 2 * STEP),
        (FIRST + 7 * minute, FIRST + day + 31 * minute),
        (FIRST + day, i64::from(MANY) * STEP + FIRST),
        (FIRST + 3 * minute, FIRST + 9 * minute),
    ] {
        let time = |micros: i64| convo::domain::Timestamp::from_micros(micros).to_string();
        let (since, before) = (time(from), time(until));
        for by in GROUPINGS {
            let args = ["stats", "--json", "--by", by, "--since", &since, "--until", &before];
            let stats = home.run(&args).silent().json();
            let total = &stats["total"];
            let found = total["inbound"].as_u64().zip(total["outbound"].as_u64());
            let found = found.map(|(one, other)| one + other);
            assert_eq!(found, Some(dated(from, until)), "{args:?}: {stats}");
            let grouped: u64 = groups(&stats).iter().map(|(_, count)| count).sum();
            assert!(by == "error" || Some(grouped) == found, "{args:?}: {stats}");
        }
    }
    let contacts = home.run(&["stats", "--by", "contact", "--json", "--limit", "2"]).json();
    assert_eq!(groups(&contacts).len(), 2);
    assert_eq!(contacts["more"], true);
}

async fn days_begin_where_the_caller_is(db: TestDatabase) {
    let home = old_messages(&db).await;
    let day = 86_400_000_000;
    for (zone, ahead) in [("UTC", 0), ("Asia/Kathmandu", 345), ("America/New_York", -240)] {
        let ahead = ahead * 60_000_000_i64;
        let stats = home.run(&["--utc", "stats", "--json"]).silent().json();
        assert_eq!(groups(&stats).len(), 4);
        let stats = home.run_with(&[("TZ", zone)], &["stats", "--json"]).silent().json();
        let first = (FIRST + ahead).div_euclid(day) * day - ahead;
        let expected: Vec<_> =
            (0..5).map(|n| dated(first + n * day, first + (n + 1) * day)).collect();
        let found: Vec<_> = groups(&stats).into_iter().map(|(_, count)| count).collect();
        let expected: Vec<_> = expected.into_iter().filter(|count| *count > 0).collect();
        assert_eq!(found, expected, "{zone}");
    }
}

/// Sums that are not made yet are not told as if they were.
async fn what_is_not_summed_yet_is_said_to_be_missing(db: TestDatabase) {
    let home = old_messages(&db).await;
    let opened = open(&db.url).await;
    let query = StatsQuery { by: StatsBy::Number, ..StatsQuery::default() };
    let stats = opened.stats(&query, Duration::ZERO).await.expect("statistics");
    assert_eq!((stats.complete, stats.total.inbound), (false, 0));
    let stats = opened.stats(&query, Duration::from_secs(60)).await.expect("statistics");
    assert_eq!((stats.complete, stats.total.inbound), (true, 5_000));
    opened.close().await;
    // Other rules, and a feed that is another one, as after restoring a backup.
    let before = total(&home, &[]);
    execute(&db.url, "UPDATE stats_totals SET messages = 7").await;
    for change in ["version = 99", "nonce = nonce + 1"] {
        execute(&db.url, &format!("UPDATE stats_place SET {change}")).await;
        assert_eq!(total(&home, &[]), before, "{change}");
    }
    let to = TestDatabase::sqlite();
    home.copy(&[&db.url, &to.url]).exits(0);
    assert_eq!(total(&Home::new().with_database(&to), &[]), before);
    assert_eq!(total(&home, &[]), before, "a source that takes no changes has its sums");
}

/// Also what the feed does not tell: a removal, an import, a cost that comes later.
async fn whatever_changes_is_counted_again(db: TestDatabase) {
    let world = World::start(db).await;
    let home = &world.home;
    for n in 0..3 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "secret");
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let report = |id: &str| Event::report(id, "foreign", OTHER, "delivered");
    world.signer.post(&world.server, report("r1").to_string()).await;
    world.wait_until_counted();
    assert_eq!(total(home, &["--direction", "outbound"])["cost"], json!([]));
    let cost = json!({"amount": "0.0040", "currency": "USD"});
    let later = report("r2").occurred_at("2036-01-01T00:00:00Z").with("cost", cost.clone());
    world.signer.post(&world.server, later.to_string()).await;
    let shown = home.run(&["show", OTHER, "--json"]).json()["messages"][0]["cost"].clone();
    assert_eq!(shown, cost);
    let sum = json!([{"amount": "0.004", "currency": "USD"}]);
    assert_eq!(total(home, &["--direction", "outbound"])["cost"], sum);

    let export = home.run(&["export"]).silent().out;
    let file = home.write("export.jsonl", &export);
    let before = total(home, &[]);
    let there = TestDatabase::sqlite();
    let other = Home::new().with_database(&there);
    other.run(&["migrate"]).exits(0);
    assert_eq!(total(&other, &[])["inbound"], 0);
    other.run(&["import", file.to_str().expect("a path")]).exits(0);
    assert_eq!(total(&other, &[]), before);

    home.run(&["forget", CONTACT, "--yes"]).exits(0);
    let after = total(home, &[]);
    assert_eq!((&before["inbound"], &after["inbound"]), (&json!(3), &json!(0)));
    assert_eq!(after["outbound"], before["outbound"]);
}

/// Several processes make the sums while messages come.
async fn processes_that_ask_at_the_same_time_count_right(db: TestDatabase) {
    let world = World::start(db).await;
    let post = async {
        for n in 0..100 {
            let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "Hi");
            assert_eq!(world.signer.post(&world.server, body).await, "stored");
        }
    };
    let ask = async {
        for _ in 0..5 {
            let running: Vec<_> = (0..3).map(|_| world.home.start(&["stats", "--json"])).collect();
            let there = world.server.get("/stats").await;
            assert_eq!(there.status, 200);
            for one in running {
                tokio::task::block_in_place(|| one.wait()).exits(0);
            }
        }
    };
    futures_util::future::join(post, ask).await;
    assert_eq!(total(&world.home, &[])["inbound"], 100);
    assert_eq!(world.server.get("/stats").await.json()["total"]["inbound"], 100);
    let sums = "SELECT CAST(sum(messages) AS bigint) FROM stats_totals";
    assert_eq!(query_one::<i64>(&connect(&world.db.url).await, sums).await, 100);
}

on_both_databases!(
    figures_are_those_of_the_messages,
    sums_of_many_messages_are_those_of_a_count,
    days_begin_where_the_caller_is,
    what_is_not_summed_yet_is_said_to_be_missing,
    whatever_changes_is_counted_again,
    processes_that_ask_at_the_same_time_count_right,
);

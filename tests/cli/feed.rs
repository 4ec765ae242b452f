//! `GET /events`: pages, waiting, and streams that go on where they stopped.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, EventStream, Home, Pooler, Proxy, Server, Signer, TestDatabase, World, eventually,
    eventually_some, inbound, local_client,
};

const OTHER: &str = "+12125559876";
/// Far more than it takes, far less than the server would wait.
const SOON: Duration = Duration::from_secs(15);

on_both_databases!(
    every_change_is_an_event_and_filters_choose,
    whoever_waits_is_woken,
    a_stream_goes_on_where_it_stopped,
    streams_end_at_once_when_the_server_stops,
    a_cursor_older_than_the_feed_is_expired,
);

async fn read(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/events{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.json()
}

fn events(page: &Value) -> &Vec<Value> {
    page["events"].as_array().expect("events")
}

fn next(page: &Value) -> String {
    page["next"].as_str().expect("a cursor").to_owned()
}

async fn text(signer: &Signer, server: &Server, n: usize, from: &str) {
    let body = inbound(&format!("event-{n}"), &format!("message-{n}"), from, &format!("Text {n}"));
    assert_eq!(signer.post(server, body).await, "stored");
}

fn number(event: &Value) -> usize {
    let body = event["message"]["body"].as_str().expect("a text");
    body.trim_start_matches("Text ").parse().expect("a number")
}

/// The number of clients that follow the feed, as the server counts them.
async fn followers(server: &Server) -> f64 {
    let metrics = server.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("convo_feed_streams "));
    line.expect("a gauge").parse().expect("a number")
}

async fn every_change_is_an_event_and_filters_choose(db: TestDatabase) {
    let world = World::start(db).await;
    let server = &world.server;
    let start = read(server, "").await;
    assert!(events(&start).is_empty(), "from now on");
    let start = next(&start);
    for n in 0..5 {
        text(&world.signer, server, n, if n == 3 { OTHER } else { CONTACT }).await;
    }
    let sent = world.home.run(&["send", CONTACT, "Hello"]).exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &sent, "delivered");
    world.wait_for_thread(CONTACT, |thread| thread["messages"].as_array().map(Vec::len) == Some(6));
    let all = read(server, &format!("?after={start}&limit=1000")).await;
    let first = &events(&all)[0];
    assert_eq!((&first["kind"], &first["contact_number"]), (&"message".into(), &CONTACT.into()));
    assert_eq!(first["message"]["body"], "Text 0");
    assert_eq!(first["message"]["conversation_id"], first["conversation_id"]);
    let reached: Vec<_> = events(&all).iter().filter(|event| event["kind"] == "status").collect();
    assert_eq!(reached.last().expect("a status")["status"], "delivered");
    assert!(reached.iter().all(|event| event["message"]["id"] == *sent), "{reached:#?}");
    // Page by page, it is the same.
    for limit in [1, 2] {
        let (mut position, mut paged) = (start.clone(), Vec::new());
        loop {
            let page = read(server, &format!("?after={position}&limit={limit}")).await;
            assert!(events(&page).len() <= limit);
            if events(&page).is_empty() {
                break;
            }
            paged.extend(events(&page).clone());
            position = next(&page);
        }
        assert_eq!(paged, *events(&all), "{limit} at a time");
    }
    let since = read(server, "?since=2020-01-01T00:00:00Z&limit=1000").await;
    assert_eq!(events(&since), events(&all));
    let bodies = async |query: &str| {
        let page = read(server, &format!("?after={start}&{query}")).await;
        events(&page).iter().map(|event| event["message"]["body"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(bodies("contact=%2B12125559876").await, ["Text 3"]);
    assert_eq!(bodies("direction=outbound&kind=message").await, ["Hello"]);
    assert_eq!(bodies("kind=status&status=delivered,failed").await, ["Hello"]);
    assert_eq!(bodies("kind=opt_out,removed").await.len(), 0);
    assert_eq!(bodies("number=%2B15550000000").await.len(), 0);
    refusals(server, &start).await;
}

async fn refusals(server: &Server, start: &str) {
    for query in [
        "limit=0",
        "limit=1001",
        "wait=61",
        "wait=-1",
        "kind=messages",
        "status=gone",
        "after=7",
        &format!("after={start}&since=2020-01-01T00:00:00Z"),
    ] {
        let refused = server.get(&format!("/events?{query}")).await;
        assert_eq!(refused.status_and_code(), (400, "invalid_request".into()), "{query}");
    }
    let refused = server.get("/events?until=1").await;
    assert_eq!(refused.status_and_code(), (400, "unknown_parameter".into()));
    let stream = "accept: text/event-stream\r\n";
    let refused = server.get_with("/events?wait=5", stream).await;
    assert_eq!(refused.status_and_code(), (400, "unknown_parameter".into()));
    let refused = server.get_with("/events", &format!("{stream}last-event-id: x\r\n")).await;
    assert_eq!(refused.status_and_code(), (400, "invalid_request".into()));
    let (position, _) = start.split_once('-').expect("a cursor");
    let expired = server.get(&format!("/events?after={position}-00000000")).await;
    assert_eq!(expired.status_and_code(), (410, "cursor_expired".into()));
    let lines = format!("{stream}last-event-id: {position}-00000000\r\n");
    let expired = server.get_with("/events", &lines).await;
    assert_eq!(expired.status_and_code(), (410, "cursor_expired".into()));
    let oldest = expired.json()["oldest"].as_str().expect("a cursor").to_owned();
    assert!(!events(&read(server, &format!("?after={oldest}")).await).is_empty());
}

async fn whoever_waits_is_woken(db: TestDatabase) {
    let world = World::start(db).await;
    let server = &world.server;
    let began = Instant::now();
    let waiting = async {
        let for_other = format!("?wait=60&contact={}", OTHER.replace('+', "%2B"));
        let (any, other) = tokio::join!(read(server, "?wait=60"), read(server, &for_other));
        assert_eq!(events(&any).iter().map(number).collect::<Vec<_>>(), [0]);
        assert_eq!(events(&other).iter().map(number).collect::<Vec<_>>(), [1]);
    };
    let posting = async {
        eventually("both to wait", async || followers(server).await == 2.0).await;
        text(&world.signer, server, 0, CONTACT).await;
        eventually("one to be answered", async || followers(server).await == 1.0).await;
        text(&world.signer, server, 1, OTHER).await;
    };
    tokio::join!(waiting, posting);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let page = read(server, "?wait=1").await;
    assert!(events(&page).is_empty(), "nothing came");
    assert_eq!(next(&page), next(&read(server, "").await));
}

async fn a_stream_goes_on_where_it_stopped(db: TestDatabase) {
    let mut world = World::start(db).await;
    let path = "/events?kind=message";
    let mut stream = EventStream::open(world.server.address, path, "").await;
    for header in ["cache-control: no-store", "x-accel-buffering: no"] {
        assert!(stream.head.contains(header), "{}", stream.head);
    }
    let mut seen = Vec::new();
    for round in 0..3 {
        for n in 0..10 {
            text(&world.signer, &world.server, round * 20 + n, CONTACT).await;
        }
        // Only some of them are received before the server is killed.
        for _ in 0..5 {
            seen.push(number(&stream.event().await));
        }
        let server = Server::start(&world.home);
        std::mem::replace(&mut world.server, server).kill();
        for n in 10..20 {
            text(&world.signer, &world.server, round * 20 + n, CONTACT).await;
        }
        stream = stream.resume(world.server.address, path).await;
    }
    while seen.len() < 60 {
        seen.push(number(&stream.event().await));
    }
    assert!(seen.into_iter().eq(0..60), "each once, in order");
    text(&world.signer, &world.server, 60, CONTACT).await;
    assert_eq!(number(&stream.event().await), 60, "and nothing else");
}

async fn streams_end_at_once_when_the_server_stops(db: TestDatabase) {
    let drain = |home: Home| home.set("CONVO_DRAIN", "50").set("CONVO_SHUTDOWN_TIMEOUT", "60");
    let world = World::with(db, drain).await;
    let server = &world.server;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(EventStream::open(server.address, "/events", "").await);
    }
    let position = streams[0].last_id.clone();
    let waiting = read(server, "?wait=60");
    let stopping = async {
        eventually("all to follow", async || followers(server).await == 6.0).await;
        server.signal(rustix::process::Signal::TERM);
        let began = Instant::now();
        for stream in &mut streams {
            assert_eq!(stream.block().await, None, "a proper end");
        }
        began
    };
    let (page, began) = tokio::join!(waiting, stopping);
    assert!(events(&page).is_empty());
    assert_eq!(next(&page), position);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// Those who follow take neither the permits nor the connections of others.
#[tokio::test(flavor = "multi_thread")]
async fn followers_leave_room_for_webhooks() {
    let limits =
        |home: Home| home.set("CONVO_MAX_STREAMS", "100").set("CONVO_MAX_CONNECTIONS", "2");
    let world = World::with(TestDatabase::sqlite(), limits).await;
    let server = &world.server;
    let mut streams = Vec::new();
    // More than there are permits and reserve for other connections.
    for _ in 0..100 {
        streams.push(EventStream::open(server.address, "/events", "").await);
    }
    let stream = "accept: text/event-stream\r\n";
    for (path, lines) in [("/events", stream), ("/events?wait=5", "")] {
        let refused = server.get_with(path, lines).await;
        assert_eq!(refused.status_and_code(), (503, "overloaded".into()));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    let began = Instant::now();
    for n in 0..20 {
        text(&world.signer, server, n, CONTACT).await;
        assert_eq!(server.get("/health").await.status, 200);
        read(server, "").await;
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    for stream in &mut streams {
        assert_eq!(number(&stream.event().await), 0);
    }
    // One that hangs up leaves its place to another.
    streams.pop();
    eventually("a place", async || followers(server).await == 99.0).await;
    EventStream::open(server.address, "/events", "").await;
}

/// A client that does not read is cut off, and nothing is kept for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_dropped() {
    let impatient = |home: Home| home.set("CONVO_REQUEST_TIMEOUT", "1");
    let world = World::with(TestDatabase::sqlite(), impatient).await;
    let _stream = EventStream::open(world.server.address, "/events", "").await;
    let mut n = 0;
    eventually("it to be dropped", async || {
        let long = "x".repeat(400_000);
        let body = inbound(&format!("event-{n}"), &format!("message-{n}"), CONTACT, &long);
        world.signer.post(&world.server, body).await;
        n += 1;
        followers(&world.server).await == 0.0
    })
    .await;
}

/// A client whose filter matches nothing learns how far it is all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_position_moves_on_without_a_matching_event() {
    let world = World::start(TestDatabase::sqlite()).await;
    let mut stream = EventStream::open(world.server.address, "/events?kind=opt_out", "").await;
    let start = stream.last_id.clone();
    text(&world.signer, &world.server, 1, CONTACT).await;
    let comment = stream.block().await.expect("a comment");
    assert!(comment.is_comment && comment.data.is_none(), "{comment:?}");
    let position = stream.block().await.expect("a position");
    assert!(position.data.is_none() && position.event.is_none(), "{position:?}");
    assert_ne!(stream.last_id, start);
    assert_eq!(stream.last_id, next(&read(&world.server, "").await));
}

/// What one server stores arrives at the clients of another.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_from_another_server() {
    let direct = TestDatabase::postgres().await;
    let behind = TestDatabase::postgres().await;
    let pooler = Pooler::before(&behind.url, "");
    let pooled = behind.at(pooler.url(&behind.url));
    for db in [direct, pooled] {
        let world = World::start(db).await;
        let second = Server::start(&world.home);
        let mut stream = EventStream::open(second.address, "/events", "").await;
        for n in 0..3 {
            text(&world.signer, &world.server, n, CONTACT).await;
            assert_eq!(number(&stream.event().await), n);
        }
    }
}

/// What a command writes into the same file arrives, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_from_another_process() {
    let world = World::start(TestDatabase::sqlite()).await;
    let mut stream = EventStream::open(world.server.address, "/events?kind=message", "").await;
    let sent = world.home.run(&["send", CONTACT, "Hello"]).exits(0).id().to_owned();
    assert_eq!(stream.event().await["message"]["id"], *sent);
}

/// Two clients with one connection each, as programs have them, wait again and again.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_again_and_again_misses_nothing() {
    let world = World::start(TestDatabase::sqlite()).await;
    let url = format!("{}/events", world.server.url());
    let start = next(&read(&world.server, "").await);
    let reading = async {
        let client = local_client(Duration::from_secs(60));
        let (mut position, mut seen) = (start, Vec::new());
        while seen.len() < 50 {
            let query = [("after", position.as_str()), ("wait", "20")];
            let page = client.get(&url).query(&query).send().await.expect("an answer");
            let page: Value = page.json().await.expect("JSON");
            seen.extend(events(&page).iter().map(number));
            position = next(&page);
        }
        seen
    };
    let writing = async {
        for n in 0..50 {
            text(&world.signer, &world.server, n, CONTACT).await;
        }
    };
    let (seen, ()) = tokio::join!(reading, writing);
    assert!(seen.into_iter().eq(0..50));
}

/// The connections of one of two servers to the database are cut, again and again, and hang once. Its
/// client comes back whenever its stream breaks off.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_survives_the_loss_of_the_database() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::before(&db).await;
    let world = World::start(db).await;
    let path = "/events?kind=message";
    let behind = Home::new().set("DATABASE_URL", proxy.url(&world.db.url));
    let cut_off = Server::start(&behind);
    let mut stream = EventStream::open(cut_off.address, path, "").await;
    let mut seen = Vec::new();
    for round in 0..6 {
        for n in 0..10 {
            text(&world.signer, &world.server, round * 10 + n, CONTACT).await;
            match (round, n) {
                (0, _) => {}
                (5, 4) => proxy.silence(),
                (_, 2 | 5 | 8) => proxy.cut_each_after(u64::MAX),
                _ => {}
            }
        }
        while seen.len() < (round + 1) * 10 {
            match stream.try_event().await {
                Some(event) => seen.push(number(&event)),
                None => stream = stream.come_back(cut_off.address, path).await,
            }
        }
    }
    assert!(seen.into_iter().eq(0..60), "each once, in order");
}

/// What is older than `CONVO_KEEP_FEED` is removed when a server starts: whoever stopped before it is told,
/// over HTTP and by `convo watch`, which also says what to do about its checkpoint.
async fn a_cursor_older_than_the_feed_is_expired(db: TestDatabase) {
    let mut world = World::with(db, |home| home.set("CONVO_KEEP_FEED", "1s")).await;
    let start = next(&read(&world.server, "").await);
    for n in 0..3 {
        text(&world.signer, &world.server, n, CONTACT).await;
    }
    world.home.write("place", format!("{start}\n"));
    let expired = eventually_some("the feed to be trimmed", async || {
        // A server trims when it starts.
        world.server = Server::start(&world.home);
        let answer = world.server.get(&format!("/events?after={start}")).await;
        (answer.status == 410).then_some(answer)
    })
    .await;
    let oldest = expired.json()["oldest"].as_str().expect("a cursor").to_owned();
    assert_eq!(expired.status_and_code(), (410, "cursor_expired".into()));
    let stream = "accept: text/event-stream\r\n";
    let lines = format!("{stream}last-event-id: {start}\r\n");
    let expired = world.server.get_with("/events", &lines).await;
    assert_eq!(expired.status_and_code(), (410, "cursor_expired".into()));
    let url = world.server.url();
    for way in [&[][..], &["--server", &url]] {
        let args = |args: &[&'static str]| [&["watch"], args, way].concat();
        let after = ["--after", &start];
        let done = world.home.run(&[&args(&[])[..], &after].concat()).exits(6);
        assert!(done.err.contains(&format!("--after {oldest}")), "{}", done.err);
        let exec = ["--checkpoint", "place", "--", "true"];
        let done = world.home.run(&[&["watch"], way, &exec[..]].concat()).exits(6);
        assert!(done.err.contains("the cursor has expired"), "{}", done.err);
        assert!(done.err.contains("place to go on:"), "{}", done.err);
        assert!(done.err.contains(&format!("--after {oldest}")), "{}", done.err);
        let kept = std::fs::read_to_string(world.home.file("place")).expect("the checkpoint");
        assert_eq!(kept.trim(), start, "it is left as it is");
    }
    // With what the hint says, what comes next is handled.
    std::fs::remove_file(world.home.file("place")).expect("removed");
    let left = events(&read(&world.server, &format!("?after={oldest}")).await).len();
    let count = (left + 1).to_string();
    let watch = world.home.start(&["watch", "--after", &oldest, "--count", &count, "--json"]);
    text(&world.signer, &world.server, 3, CONTACT).await;
    let lines = watch.wait().exits(0).out;
    let last: Value =
        lines.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("an event");
    assert_eq!(last["message"]["body"], "Text 3");
}

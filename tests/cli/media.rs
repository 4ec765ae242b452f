//! Media: what contacts send is fetched soon, kept once, and served so that nothing in it can run; links
//! that lead into this network, lie or break do no harm.

mod copies;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    BucketServer, CONTACT, Event, Home, MediaAnswer, MediaHost, OWN, Server, Signer, TestDatabase,
    execute, exposition, local_client, wait_for, wait_until,
};

/// The beginning of a picture, which is enough to tell its type.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand the rest of it";

/// A server that fetches media from a host, which it takes for Telnyx.
struct Keeping {
    home: Home,
    signer: Signer,
    server: Server,
    host: MediaHost,
    db: TestDatabase,
}

impl Keeping {
    fn start(db: TestDatabase) -> Self {
        Self::with(db, |home| home)
    }

    fn with(db: TestDatabase, change: impl FnOnce(Home) -> Home) -> Self {
        let (signer, host) = (Signer::new(7), MediaHost::start());
        let home = Home::new()
            .with_database(&db)
            .accepting(&signer)
            .set("TELNYX_PHONE_NUMBER", OWN)
            .set("TELNYX_API_KEY", "KEY")
            .set("TELNYX_BASE_URL", host.url("/v2"))
            .set("CONVO_MEDIA", "media");
        let home = change(home);
        let server = Server::start(&home);
        Self { home, signer, server, host, db }
    }

    /// The contact sends files. Returns the message's id.
    async fn hear(&self, id: &str, urls: &[String]) -> String {
        let media: Vec<_> = urls.iter().map(|url| json!({ "url": url })).collect();
        self.hear_media(id, Value::from(media)).await
    }

    async fn hear_media(&self, id: &str, media: Value) -> String {
        let event = Event::inbound(&format!("e-{id}"), &format!("m-{id}"), CONTACT, id);
        let event = event.received_at(convo::clock::now()).with("media", media).to_string();
        assert_eq!(self.signer.post(&self.server, event).await, "stored");
        let shown = self.home.run(&["show", CONTACT, "--json"]).silent().json();
        let messages = shown["messages"].as_array().expect("messages");
        let message = messages.iter().find(|message| message["body"] == id).expect("the message");
        message["id"].as_str().expect("an id").to_owned()
    }

    fn media(&self, message: &str) -> Vec<Value> {
        let listed = self.home.run(&["media", message, "--json"]).silent().json();
        listed.as_array().expect("a list").clone()
    }

    fn state(&self, message: &str) -> String {
        self.media(message)[0]["state"].as_str().expect("a state").to_owned()
    }

    #[track_caller]
    fn wait_for_state(&self, message: &str, state: &str) {
        let mut last = String::new();
        let what = format!("{message} to be {state}");
        wait_until(&what, || {
            last = self.state(message);
            last == state
        });
    }

    /// How often an attempt to fetch ended in a state.
    async fn attempts(&self, state: &str) -> f64 {
        let page = self.server.get("/metrics").await.body;
        let families = exposition::parse(&page);
        exposition::value(&families, "convo_media_fetches_total", &[("state", state)])
    }

    async fn wait_for_attempts(&self, state: &str, count: f64) {
        crate::support::eventually("attempts to fetch", async || {
            self.attempts(state).await >= count
        })
        .await;
    }

    /// The files in the store.
    fn files(&self) -> Vec<PathBuf> {
        let directories = fs::read_dir(self.home.file("media")).expect("the store").flatten();
        directories
            .flat_map(|entry| fs::read_dir(entry.path()).expect("a directory").flatten())
            .map(|entry| entry.path())
            .collect()
    }

    /// Ends the server and starts another one, for which everything is due.
    async fn restart(self) -> Self {
        let Self { home, signer, server, host, db } = self;
        assert_eq!(server.stop(), 0);
        execute(&db.url, "UPDATE media SET next_attempt_at = 0 WHERE next_attempt_at > 0").await;
        let server = Server::start(&home);
        Self { home, signer, server, host, db }
    }
}

async fn a_picture_is_kept_once_and_served_so_that_nothing_runs(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let picture = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let same = keeping.host.serve("/b.png", MediaAnswer::File(PNG.to_vec()));
    let page = keeping.host.serve("/c", MediaAnswer::File(b"<script>alert(1)</script>".to_vec()));
    let first = keeping.hear("first", &[picture, page]).await;
    let second = keeping.hear("second", &[same]).await;
    keeping.wait_for_state(&second, "kept");
    wait_until("both files", || keeping.media(&first).iter().all(|file| file["state"] == "kept"));
    assert_eq!(keeping.files().len(), 2, "the same picture is there once");
    for file in keeping.files() {
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let listed = keeping.media(&first);
    assert_eq!((&listed[0]["content_type"], &listed[0]["size"]), (&"image/png".into(), &26.into()));
    assert_eq!(listed[1]["content_type"], "application/octet-stream", "whatever the server says");
    let shown = keeping.server.get(&format!("/messages/{first}")).await.json();
    assert_eq!(shown["media"][0]["state"], "kept");
    let events = keeping.server.get("/events?since=2020-01-01T00:00:00Z").await.json();
    assert_eq!(events["events"][0]["message"]["media"][1]["state"], "kept");

    let answer = keeping.server.get(&format!("/messages/{first}/media/1")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("image/png"));
    assert_eq!(answer.header("content-length"), Some("26"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let name = format!("attachment; filename=\"{first}-1.png\"");
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    let policy = answer.header("content-security-policy").expect("a policy").to_owned();
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'; sandbox");
    let tag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(tag.trim_matches('"'), listed[0]["sha256"].as_str().expect("a hash"));

    let script = format!("/messages/{first}/media/2");
    let answer = keeping.server.get_with(&script, "range: bytes=8-12\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (206, "alert"));
    assert_eq!(answer.header("content-range"), Some("bytes 8-12/25"));
    let answer = keeping.server.get_with(&script, "range: bytes=25-\r\n").await;
    assert_eq!(answer.status_and_code(), (416, "range_not_satisfiable".to_owned()));
    assert_eq!(answer.header("content-range"), Some("bytes */25"));
    let url = format!("{}{script}", keeping.server.url());
    let head = local_client(Duration::from_secs(30)).head(url).send().await.expect("an answer");
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["content-length"], "25");
    for (path, code) in [
        (format!("/messages/{first}/media/3"), "media_not_found"),
        (format!("/messages/{first}/media/0"), "media_not_found"),
        (format!("/messages/{first}/media/one"), "media_not_found"),
        (format!("/messages/{}/media/1", uuid::Uuid::nil()), "message_not_found"),
    ] {
        let answer = keeping.server.get(&path).await;
        assert_eq!(answer.status_and_code(), (404, code.to_owned()), "{path}");
    }
}

async fn the_command_prints_the_same_bytes_here_and_there(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let picture = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let card = keeping.host.serve("/card", MediaAnswer::File(b"BEGIN:VCARD\r\n".to_vec()));
    let both = keeping.hear("both", &[picture.clone(), card]).await;
    let alone = keeping.hear("alone", &[picture]).await;
    let text = keeping.hear("text", &[]).await;
    keeping.wait_for_state(&alone, "kept");
    wait_until("both files", || keeping.media(&both).iter().all(|file| file["state"] == "kept"));
    let url = keeping.server.url();
    for server in [&[][..], &["--server", &url]] {
        let bytes = |args: &[&str]| {
            let output = keeping.home.command(&[&["media"], args, server].concat()).output();
            let output = output.expect("it runs");
            assert!(output.status.success(), "{args:?}: {output:?}");
            output.stdout
        };
        assert_eq!(bytes(&[&alone]), PNG, "the only one, in a pipe");
        assert_eq!(bytes(&[&both, "2"]), b"BEGIN:VCARD\r\n");
        assert_eq!(bytes(&[&both, "1", "--out", "-"]), PNG);
        assert_eq!(bytes(&[&both, "1", "--out", "photo.png"]), b"");
        let photo = keeping.home.file("photo.png");
        assert_eq!(fs::read(&photo).expect("a file"), PNG);
        let mode = fs::metadata(&photo).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::create_dir_all(keeping.home.file("out")).expect("a directory");
        let printed = String::from_utf8(bytes(&[&both, "--out", "out"])).expect("paths");
        assert_eq!(printed, format!("out/{both}-1.png\nout/{both}-2.vcf\n"));
        let saved = keeping.home.file(&format!("out/{both}-2.vcf"));
        assert_eq!(fs::read(saved).expect("a file"), b"BEGIN:VCARD\r\n");
        let refused = |args: &[&str], code: i32, what: &str| {
            keeping.home.run(&[&["media"], args, server].concat()).exits(code).reports(what);
        };
        refused(&[&both], 2, "the message has 2 media files");
        refused(&[&both, "--out", "two.png"], 2, "the message has 2 media files");
        refused(&[&both, "3"], 3, "no media file 3");
        refused(&[&text], 3, "the message has no media files");
        refused(&[&alone, "--out", "missing/photo.png"], 2, "cannot write missing/photo.png");
    }
    let local = keeping.home.run(&["media", &both, "--json"]).silent();
    let remote = keeping.home.run(&["media", &both, "--json", "--server", &url]).silent();
    assert_eq!(local.out, remote.out);
    assert!(!keeping.home.files().iter().any(|name| name.contains(".part")));
}

async fn servers_that_lie_break_off_or_change_do_no_harm(db: TestDatabase) {
    let keeping = Keeping::with(db, |home| home.set("CONVO_MEDIA_MAX", "2KiB"));
    let host = &keeping.host;
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec();
    let broken = keeping.hear("broken", &[host.serve("/broken", MediaAnswer::Raw(short))]).await;
    let changing = keeping.hear("changing", &[host.url("/changing")]).await;
    let wrong = host.serve("/wrong", MediaAnswer::File(b"something else".to_vec()));
    let wrong = json!([{ "url": wrong, "sha256": "ab".repeat(32), "size": 14 }]);
    let wrong = keeping.hear_media("wrong", wrong).await;
    let large = vec![b'x'; 2049];
    let large = keeping.hear("large", &[host.serve("/large", MediaAnswer::File(large))]).await;
    let endless = keeping.hear("endless", &[host.serve("/endless", MediaAnswer::Endless)]).await;
    let full = vec![b'x'; 2048];
    let full = keeping.hear("full", &[host.serve("/full", MediaAnswer::File(full))]).await;
    let gone = MediaAnswer::Status("410 Gone", String::new());
    let gone = keeping.hear("gone", &[host.serve("/gone", gone)]).await;
    keeping.wait_for_state(&large, "too_large");
    keeping.wait_for_state(&endless, "too_large");
    keeping.wait_for_state(&full, "kept");
    keeping.wait_for_state(&gone, "gone");
    keeping.wait_for_attempts("waiting", 3.0).await;
    for message in [&broken, &changing, &wrong] {
        assert_eq!(keeping.state(message), "waiting");
        let done = keeping.home.run(&["media", message]).exits(5);
        done.reports("has not been fetched yet");
    }
    assert_eq!(keeping.files().len(), 1, "nothing is there in part");
    host.serve("/broken", MediaAnswer::File(PNG.to_vec()));
    host.serve("/changing", MediaAnswer::File(b"now".to_vec()));
    // The event may be wrong: after some attempts, what comes is kept.
    let keeping = keeping.restart().await;
    keeping.wait_for_state(&broken, "kept");
    keeping.wait_for_state(&changing, "kept");
    keeping.wait_for_attempts("waiting", 1.0).await;
    assert_eq!(keeping.state(&wrong), "waiting");
    let keeping = keeping.restart().await;
    keeping.wait_for_state(&wrong, "kept");
    let large = keeping.home.run(&["media", &large]).exits(3);
    large.reports("larger than CONVO_MEDIA_MAX");
}

async fn links_into_this_network_are_refused(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let (host, inside) = (&keeping.host, MediaHost::start());
    let to = |path: &str, location: &str| {
        let location = format!("location: {location}\r\n");
        host.serve(path, MediaAnswer::Status("302 Found", location))
    };
    host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let allowed = keeping.hear("allowed", &[to("/to-file", "/a.png")]).await;
    let secret = inside.serve("/secret", MediaAnswer::File(b"secret".to_vec()));
    let refused = [
        to("/inward", &secret),
        to("/inward-again", &host.url("/inward")),
        secret,
        format!("https://{}/secret", inside.address),
        host.url("/a.png").replace("http:", "https:"),
        host.url("/a.png").replace("127.0.0.1", "user:password@127.0.0.1"),
        "https://[::1]/secret".to_owned(),
        "file:///etc/passwd".to_owned(),
        "not a URL".to_owned(),
    ];
    let refused = keeping.hear("refused", &refused).await;
    keeping.wait_for_state(&allowed, "kept");
    wait_until("all to be refused", || {
        keeping.media(&refused).iter().all(|file| file["state"] == "refused")
    });
    assert_eq!(inside.count(), 0, "nobody was asked");
    let answer = keeping.server.get(&format!("/messages/{refused}/media/1")).await;
    assert_eq!(answer.status_and_code(), (404, "media_not_found".to_owned()));
    let endless = keeping.hear("circle", &[to("/circle", "/circle")]).await;
    wait_until("a circle to end", || host.requests("/circle").len() == 6);
    assert_eq!(keeping.state(&endless), "waiting");
}

async fn the_key_is_shown_only_to_telnyx_and_only_when_it_asks(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let host = &keeping.host;
    let open = host.serve("/open", MediaAnswer::File(b"open".to_vec()));
    let guarded = host.serve("/guarded", MediaAnswer::ForKey(b"guarded".to_vec()));
    let message = keeping.hear("both", &[open, guarded]).await;
    wait_until("both files", || keeping.media(&message).iter().all(|file| file["state"] == "kept"));
    assert!(!host.requests("/open")[0].contains("authorization"));
    let asked = host.requests("/guarded");
    let shows_key: Vec<_> = asked.iter().map(|head| head.contains("authorization")).collect();
    assert_eq!(shows_key, [false, true]);
    assert!(!keeping.server.log().contains("KEY"));
}

async fn slow_servers_hold_up_neither_others_nor_webhooks(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let host = &keeping.host;
    let slow = ["/slow-1", "/slow-2", "/slow-3"]
        .map(|path| host.serve(path, MediaAnswer::Held(path.as_bytes().to_vec())));
    let slow = keeping.hear("slow", &slow).await;
    wait_until("three at once", || host.count() == 3);
    let quick = host.serve("/quick", MediaAnswer::File(b"quick".to_vec()));
    let quick = keeping.hear("quick", &[quick]).await;
    keeping.wait_for_state(&quick, "kept");
    assert!(keeping.media(&slow).iter().all(|file| file["state"] == "waiting"));
    host.release();
    wait_until("the slow ones", || keeping.media(&slow).iter().all(|file| file["state"] == "kept"));
}

async fn what_came_before_is_found_and_what_has_expired_is_gone(db: TestDatabase) {
    let keeping = Keeping::with(db, |home| home.set("CONVO_MEDIA", "off"));
    let url = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let mut earlier = Vec::new();
    for id in ["one", "two", "three"] {
        earlier.push(keeping.hear(id, std::slice::from_ref(&url)).await);
    }
    assert_eq!(keeping.state(&earlier[0]), "waiting");
    let old = Event::inbound("e-old", "m-old", "+13125550001", "old");
    let old = old.received_at("2026-01-01T00:00:00Z").with("media", json!([{ "url": url }]));
    keeping.signer.post(&keeping.server, old.to_string()).await;
    let Keeping { home, signer, server, host, db } = keeping;
    assert_eq!(server.stop(), 0);
    let home = home.set("CONVO_MEDIA", "media");
    let server = Server::start(&home);
    let keeping = Keeping { home, signer, server, host, db };
    for message in &earlier {
        keeping.wait_for_state(message, "kept");
    }
    let shown = keeping.home.run(&["show", "+13125550001", "--json"]).silent().json();
    assert_eq!(shown["messages"][0]["media"][0]["state"], "gone");
    assert_eq!(keeping.host.requests("/a.png").len(), 3, "an expired link is not tried");
}

async fn old_media_are_let_go_unless_a_newer_message_has_them(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let host = &keeping.host;
    let shared = host.serve("/shared", MediaAnswer::File(PNG.to_vec()));
    let alone = host.serve("/alone", MediaAnswer::File(b"alone".to_vec()));
    let old = keeping.hear("old", &[shared.clone(), alone]).await;
    let new = keeping.hear("new", &[shared]).await;
    keeping.wait_for_state(&new, "kept");
    wait_until("both", || keeping.media(&old).iter().all(|file| file["state"] == "kept"));
    assert_eq!(keeping.files().len(), 2);
    let Keeping { home, signer, server, host, db } = keeping;
    assert_eq!(server.stop(), 0);
    let aged = "UPDATE media SET created_at = 0 WHERE message_id IN \
                (SELECT id FROM messages WHERE body = 'old')";
    execute(&db.url, aged).await;
    let home = home.set("CONVO_KEEP_MEDIA", "1y");
    let server = Server::start(&home);
    let keeping = Keeping { home, signer, server, host, db };
    wait_until("the content to go", || keeping.files().len() == 1);
    assert!(keeping.media(&old).iter().all(|file| file["state"] == "gone"));
    assert_eq!(keeping.state(&new), "kept");
    let path = format!("/messages/{new}/media/1");
    assert_eq!(keeping.server.get(&path).await.status, 200);
}

async fn one_server_at_a_time_fetches_and_another_goes_on(db: TestDatabase) {
    let keeping = Keeping::start(db);
    let second = Server::start(&keeping.home);
    let url = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let first = keeping.hear("first", &[url]).await;
    keeping.wait_for_state(&first, "kept");
    let Keeping { home, signer, server, host, db } = keeping;
    server.kill();
    let keeping = Keeping { home, signer, server: second, host, db };
    let url = keeping.host.serve("/b.png", MediaAnswer::File(b"second".to_vec()));
    let second = keeping.hear("second", &[url]).await;
    wait_for("the lease to expire", || (keeping.state(&second) == "kept").then_some(()));
    assert_eq!(keeping.host.requests("/a.png").len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_sandbox_a_contact_sends_a_picture_that_is_kept() {
    let home = Home::new();
    let args = ["serve", "--sandbox", "--listen", "127.0.0.1:0"];
    let server = Server::start_with(&home, &args);
    home.run(&["send", "--sandbox", CONTACT, "Please send a picture"]).exits(0);
    let picture = wait_for("a picture", || {
        let shown = home.run(&["show", "--sandbox", CONTACT, "--json"]).silent().json();
        let messages = shown["messages"].as_array().expect("messages").clone();
        let is_kept = |message: &&Value| message["media"][0]["state"] == "kept";
        messages.iter().find(is_kept).map(|message| message["id"].as_str().unwrap_or("").to_owned())
    });
    let content = home.command(&["media", "--sandbox", &picture]).output().expect("it runs").stdout;
    assert!(content.starts_with(&PNG[..8]), "{content:?}");
    assert!(home.file("sandbox.db-media").is_dir());
    let remote = home.command(&["media", &picture, "--server", &server.url()]).output();
    assert_eq!(remote.expect("it runs").stdout, content);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_bucket_and_wait_while_it_is_away() {
    let bucket = BucketServer::start().await;
    let keeping = Keeping::with(TestDatabase::postgres().await, |home| {
        home.set("CONVO_MEDIA", "s3://media/of/convo")
            .set("AWS_ENDPOINT_URL", bucket.url())
            .set("AWS_REGION", "us-east-1")
            .set("AWS_ACCESS_KEY_ID", "id")
            .set("AWS_SECRET_ACCESS_KEY", "hush-hush")
    });
    let second = Server::start(&keeping.home);
    let picture = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let message = keeping.hear("picture", &[picture.clone(), picture]).await;
    wait_until("both", || keeping.media(&message).iter().all(|file| file["state"] == "kept"));
    let hash = keeping.media(&message)[0]["sha256"].as_str().expect("a hash").to_owned();
    assert_eq!(bucket.objects().await, [format!("of/convo/{}/{hash}", &hash[..2])]);
    let path = format!("/messages/{message}/media/2");
    for server in [&keeping.server, &second] {
        let answer = server.get_with(&path, "range: bytes=1-3\r\n").await;
        assert_eq!((answer.status, answer.body.as_str()), (206, "PNG"));
    }
    let local = keeping.home.command(&["media", &message, "1"]).output().expect("it runs");
    assert_eq!(local.stdout, PNG);
    drop(bucket);
    let answer = second.get(&path).await;
    assert_eq!(answer.status_and_code(), (503, "media_unavailable".to_owned()));
    let card = keeping.host.serve("/card", MediaAnswer::File(b"BEGIN:VCARD\r\n".to_vec()));
    let waiting = keeping.hear("card", &[card]).await;
    keeping.wait_for_attempts("waiting", 1.0).await;
    assert_eq!(keeping.state(&waiting), "waiting");
    assert!(!keeping.server.log().contains("hush-hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_is_said_at_the_start() {
    let home = Home::new().set("CONVO_MEDIA", "file/media");
    home.write("file", "");
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("media cannot be kept in");
    for wrong in ["gs://bucket", "s3://", "https://example.com"] {
        let home = Home::new().set("CONVO_MEDIA", wrong);
        home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("CONVO_MEDIA");
    }
    let home = Home::new().set("CONVO_MEDIA", "").set("AWS_ACCESS_KEY_ID", "id");
    home.write(".env", "CONVO_MEDIA=s3://somebody-elses-bucket\n");
    let done = home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4);
    done.reports("the credentials for the bucket are not");
    let sent = home.run(&["send", CONTACT, "--media", "./photo.jpg"]).exits(2);
    sent.reports("Telnyx fetches media files by itself");
}

on_both_databases!(
    a_picture_is_kept_once_and_served_so_that_nothing_runs,
    the_command_prints_the_same_bytes_here_and_there,
    servers_that_lie_break_off_or_change_do_no_harm,
    links_into_this_network_are_refused,
    the_key_is_shown_only_to_telnyx_and_only_when_it_asks,
    slow_servers_hold_up_neither_others_nor_webhooks,
    what_came_before_is_found_and_what_has_expired_is_gone,
    old_media_are_let_go_unless_a_newer_message_has_them,
    one_server_at_a_time_fetches_and_another_goes_on,
);

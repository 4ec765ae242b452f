//! `convo send --wait`: the exit code tells what became of the text.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use convo::sandbox::Behaviour;
use rustix::process::Signal;

use crate::on_both_databases;
use crate::support::{FakeServer, Home, Reply, TestDatabase, World, is_id, signal};

async fn the_exit_code_reports_the_final_status(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        for (behaviour, wait, exit, expected) in [
            (Behaviour::Silent, "--wait", 0, "delivered to "),
            (Behaviour::Silent, "--wait=sent", 0, " to "),
            (Behaviour::Silent, "--wait=delivered", 0, "delivered to "),
            (Behaviour::Undeliverable, "--wait", 6, "delivery_failed"),
            (Behaviour::SendingFailed, "--wait=sent", 6, "sending_failed"),
            (Behaviour::Unconfirmed, "--wait", 0, "sent to "),
            (Behaviour::Unconfirmed, "--wait=sent", 0, "sent to "),
            (Behaviour::Unconfirmed, "--wait=delivered", 9, "never confirmed"),
            (Behaviour::Refused, "--wait", 6, "Invalid"),
        ] {
            let args = ["send", behaviour.number(), "Hi", wait];
            let done = world.home.run(&[&args, remote].concat()).exits(exit);
            assert!(is_id(done.line()), "{wait}: {}", done.out);
            assert!(done.err.contains(expected), "{wait} {}: {}", behaviour.number(), done.err);
        }
        let args = ["send", Behaviour::Unconfirmed.number(), "Hi", "--wait=delivered", "--json"];
        let done = world.home.run(&[&args, remote].concat()).exits(9);
        assert!(done.error()["idempotency_key"].is_string(), "{}", done.err);
        // Silence: the answer is lost and no report ever comes.
        let args = ["send", Behaviour::Vanished.number(), "Hi", "--wait", "--timeout", "1s"];
        let done = world.home.run(&[&args, remote].concat()).exits(9);
        assert!(is_id(done.line()) && done.err.contains("--idempotency-key "), "{}", done.err);
        // The answer is lost, but a report settles it.
        let args = ["send", Behaviour::AnswerLost.number(), "Hi", "--wait", "--json"];
        let message = world.home.run(&[&args, remote].concat()).silent().json();
        assert_eq!(message["status"], "delivered");
    }
}

on_both_databases!(the_exit_code_reports_the_final_status, messages_sent_earlier_are_waited_for);

/// A home whose sends are accepted, and never reported on.
async fn accepted() -> (Home, FakeServer) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    (home, telnyx)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_exits_with_8_and_the_text_is_sent_once() {
    let (home, telnyx) = accepted().await;
    let send = ["send", "+12125551234", "Hi", "--wait=delivered", "--timeout", "1s"];
    let done = home.run(&send).exits(8).reports("the message was still queued after 1 s");
    assert!(is_id(done.line()));
    let done = home.run(&[&send[..], &["--json"]].concat()).exits(8);
    assert_eq!(done.json()["status"], "queued");
    let error = done.error();
    assert_eq!((&error["code"], &error["exit"]), (&"not_final".into(), &8.into()));
    assert_eq!(error["message_id"], done.json()["id"]);
    assert_eq!(telnyx.offers().len(), 2, "one for each send");
    for (wrong, expected) in [
        (&["--wait", "--dry-run"][..], "--dry-run"),
        (&["--timeout", "3s"], "--wait"),
        (&["--wait", "--timeout", "soon"], "30s, 2m or 1h"),
        (&["--wait=read"], "'read'"),
    ] {
        let args = [&["send", "+12125551234", "Hi"][..], wrong].concat();
        home.run(&args).exits(2).reports(expected);
    }
}

/// The id is there before the end, and Ctrl-C tells what is known.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_is_printed_at_once_and_an_interrupt_ends_the_wait() {
    let (home, _telnyx) = accepted().await;
    let mut command = home.command(&["send", "+12125551234", "Hi", "--wait", "--timeout", "1h"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut id = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut id).expect("a line");
    assert!(is_id(id.trim_end()), "{id}");
    assert_eq!(child.try_wait().expect("a child"), None, "it waits");
    signal(&child, Signal::INT);
    let ended = child.wait_with_output().expect("it ends");
    let err = String::from_utf8(ended.stderr).expect("UTF-8");
    assert_eq!(ended.status.code(), Some(8), "{err}");
    assert!(err.contains("still queued when the wait was interrupted"), "{err}");
}

async fn messages_sent_earlier_are_waited_for(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    let url = world.server.url();
    let sent = |behaviour: Behaviour| {
        let args = ["send", behaviour.number(), "Hi"];
        // A report may be there before the send's own answer, so its exit code may already tell.
        world.home.run(&args).id().to_owned()
    };
    let [good, bad, doubtful, lost] =
        [Behaviour::Silent, Behaviour::Undeliverable, Behaviour::Unconfirmed, Behaviour::Vanished]
            .map(sent);
    for remote in [&[][..], &["--server", &url]] {
        for (args, exit, out) in [
            (&[good.as_str()][..], 0, format!("{good}\tdelivered\n")),
            (&[&good, "--for", "delivered"], 0, format!("{good}\tdelivered\n")),
            (&[&doubtful], 0, format!("{doubtful}\tdelivery_unconfirmed\n")),
            (&[&doubtful, "--for=delivered"], 9, format!("{doubtful}\tdelivery_unconfirmed\n")),
            (&[&bad, "--for=sent"], 6, format!("{bad}\tdelivery_failed\n")),
            (&[&lost, "--timeout", "1s"], 9, format!("{lost}\tunknown\n")),
            (
                &[&good, &bad, &doubtful],
                6,
                format!(
                    "{good}\tdelivered\n{bad}\tdelivery_failed\n{doubtful}\tdelivery_unconfirmed\n"
                ),
            ),
        ] {
            let done = world.home.run(&[&["wait"], args, remote].concat()).exits(exit);
            assert_eq!(done.out, out, "{args:?}");
        }
        let json = [&["wait", &good, "--json"], remote].concat();
        assert_eq!(world.home.run(&json).silent().json()["status"], "delivered");
        let hint = world.home.run(&[&["wait", &lost, "--timeout=0s"], remote].concat()).exits(9);
        let command = [&["convo"], remote, &["retry", &lost]].concat().join(" ");
        assert!(hint.err.contains(&command), "{}", hint.err);
        let unknown = "0190a1b2-c3d4-7000-8000-5e6f70819203";
        let done = world.home.run(&[&["wait", &good, unknown], remote].concat()).exits(3);
        assert_eq!(done.reports("Message not found").out, "");
    }
    world.home.run(&["wait"]).exits(2).reports("<ID>");
    world.home.run(&["wait", &good[..8]]).exits(2).reports("full id of a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_earlier_message_ends_with_8_in_time() {
    let (home, _telnyx) = accepted().await;
    let id = home.run(&["send", "+12125551234", "Hi"]).exits(0).id().to_owned();
    let done =
        home.run(&["wait", &id, "--timeout", "1s"]).exits(8).reports("still queued after 1 s");
    assert_eq!(done.out, format!("{id}\tqueued\n"));
}

//! Signed webhooks, posted without pause, and what became of each.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    DEADLINE, Event, Home, Server, Signer, assert_counted, eventually, open_to_read,
};

const CONNECTIONS: usize = 16;
const CONTACTS: usize = 50;

/// A signer that takes an answer after more than five seconds for none.
pub fn signer(seed: u8) -> Signer {
    Signer::waiting(seed, Duration::from_secs(5))
}

/// The settings of a server on a database that accepts a signer's webhooks.
pub fn home(url: &str, signer: &Signer) -> Home {
    Home::new().set("DATABASE_URL", url).accepting(signer)
}

/// What became of the webhooks of one load.
#[derive(Default)]
pub struct Tally {
    /// Answered 200.
    pub acknowledged: Vec<usize>,
    /// Answered 503.
    pub refused: Vec<usize>,
    /// Not answered.
    pub lost: Vec<usize>,
}

impl Tally {
    pub fn count(&mut self, n: usize, status: Option<u16>) {
        match status {
            Some(200) => self.acknowledged.push(n),
            Some(503) => self.refused.push(n),
            None => self.lost.push(n),
            Some(other) => panic!("a signed webhook was answered {other}"),
        }
    }
}

/// Posts webhooks, each once, numbered from `first`, until `stop` returns true.
pub async fn post_until(
    address: SocketAddr,
    signer: &Signer,
    first: usize,
    stop: impl Fn(&Tally) -> bool,
) -> Tally {
    let (mut tally, mut next) = (Tally::default(), first);
    let start = Instant::now();
    while !stop(&tally) {
        let Tally { acknowledged, refused, lost } = &tally;
        let counts = [acknowledged, refused, lost].map(Vec::len);
        assert!(start.elapsed() < DEADLINE, "the load does not end: {counts:?}");
        let round: Vec<usize> = (next..next + CONNECTIONS).collect();
        next += CONNECTIONS;
        let posts = round.iter().map(|n| post(signer, address, *n));
        for (n, status) in round.iter().zip(futures_util::future::join_all(posts).await) {
            tally.count(*n, status);
        }
    }
    tally
}

/// Posts to a server, numbered from `first`, and kills it when others are under way.
pub async fn kill_under_load(server: Server, signer: &Signer, first: usize) -> Tally {
    let (address, signer) = (server.address, signer.clone());
    let so_far = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&so_far);
    let load = tokio::spawn(async move {
        post_until(address, &signer, first, |tally| {
            counter.store(tally.acknowledged.len(), Ordering::SeqCst);
            !tally.lost.is_empty()
        })
        .await
    });
    eventually("the load", async || so_far.load(Ordering::SeqCst) >= 100).await;
    server.kill();
    load.await.expect("no panic")
}

/// Posts the same webhooks again until every one is acknowledged.
pub async fn repost(address: SocketAddr, signer: &Signer, which: &[usize]) {
    let start = Instant::now();
    for n in which {
        while post(signer, address, *n).await != Some(200) {
            assert!(start.elapsed() < DEADLINE, "webhook {n} is not accepted");
        }
    }
}

/// Posts one webhook; its status, if there was an answer.
pub async fn post(signer: &Signer, address: SocketAddr, n: usize) -> Option<u16> {
    let contact = format!("+1212555{:04}", n % CONTACTS);
    let text = format!("Text number {n}");
    let event = Event::inbound(&format!("event-{n}"), &message_id(n), &contact, &text);
    signer.try_post(address, event.to_string()).await.map(|(status, _)| status)
}

fn message_id(n: usize) -> String {
    format!("message-{n}")
}

/// Asserts that every acknowledged message is in the database, none twice, and that every counter
/// equals its rows.
pub async fn assert_kept(url: &str, acknowledged: &[usize]) {
    let mut kept = HashSet::new();
    for message in assert_counted(&open_to_read(url).await).await {
        let id = message.telnyx_message_id.expect("it came from Telnyx");
        assert!(kept.insert(id.clone()), "{id} is stored twice");
    }
    for n in acknowledged {
        assert!(kept.contains(&message_id(*n)), "webhook {n} was acknowledged and is lost");
    }
}

//! The load: each connection sends its next webhook as soon as the previous one was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Process;
use crate::{ROUND, Shared};

/// What one round has shown.
pub struct Round {
    /// Places of the webhooks that were answered 200.
    pub answered: Vec<usize>,
    /// How long each of them took, sorted.
    pub latencies: Vec<Duration>,
    /// Processor time of the server.
    pub processor: Duration,
}

impl Round {
    /// Webhooks per second.
    pub fn rate(&self) -> f64 {
        self.answered.len() as f64 / ROUND.as_secs_f64()
    }

    /// The latency that this share of the webhooks did not exceed, in milliseconds.
    pub fn latency(&self, share: f64) -> f64 {
        let place = (self.latencies.len() as f64 * share) as usize;
        let found = self.latencies.get(place.min(self.latencies.len().saturating_sub(1)));
        found.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    /// Processor time of the server for each webhook, in microseconds.
    pub fn processor_micros(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.answered.len() as f64
    }
}

/// Runs one round; `repeat` begins again with the first webhook after the last one. The client has one
/// thread, so as to take little from the servers that share the machine.
pub fn run(server: &Process, webhooks: &Shared, connections: usize, repeat: bool) -> Round {
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let before = server.processor_time();
    let answers = runtime.expect("a runtime").block_on(async {
        let end = Instant::now() + ROUND;
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (next, webhooks) = (Arc::clone(&next), Arc::clone(webhooks));
                tokio::spawn(connection(server.address, next, webhooks, repeat, end))
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await.expect("no panic"));
        }
        answers
    });
    let processor = server.processor_time().saturating_sub(before);
    let (answered, mut latencies): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    latencies.sort();
    Round { answered, latencies, processor }
}

async fn connection(
    address: std::net::SocketAddr,
    next: Arc<AtomicUsize>,
    webhooks: Shared,
    repeat: bool,
    end: Instant,
) -> Vec<(usize, Duration)> {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    let mut buffer = vec![0; 4_096];
    let mut answered = Vec::new();
    while Instant::now() < end {
        let taken = next.fetch_add(1, Ordering::Relaxed);
        let place = if repeat { taken % webhooks.len() } else { taken };
        let Some(request) = webhooks.request(place) else { break };
        let begun = Instant::now();
        socket.write_all(request).await.expect("written");
        // Responses are small: one read returns a whole one.
        let read = socket.read(&mut buffer).await.expect("an answer");
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "only 200 is expected here");
        answered.push((place, begun.elapsed()));
    }
    answered
}

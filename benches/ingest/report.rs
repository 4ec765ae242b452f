//! The figures of a run, as a table.

use crate::bare::BATCH;
use crate::database::Sizes;
use crate::load::Round;
use crate::{CONNECTIONS, median};

/// The figures of one database.
pub struct Figures {
    label: &'static str,
    rounds: Vec<Compared>,
    /// Bytes for each message, by table and index.
    pub sizes: Sizes,
    /// Milliseconds of the database's own commit of the same rows.
    pub bare: f64,
    /// The same of a batch.
    pub bare_batch: f64,
}

/// One round beside the round of the server that stores nothing.
struct Compared {
    connections: usize,
    rate: f64,
    ratio: f64,
    median: f64,
    limit_median: f64,
    p99: f64,
    p99_ratio: f64,
    processor: f64,
}

impl Figures {
    pub fn new(label: &'static str) -> Self {
        Self { label, rounds: Vec::new(), sizes: Vec::new(), bare: f64::NAN, bare_batch: f64::NAN }
    }

    pub fn add(&mut self, connections: usize, limit: &Round, round: &Round) {
        self.rounds.push(Compared {
            connections,
            rate: round.rate(),
            ratio: round.rate() / limit.rate(),
            median: round.latency(0.5),
            limit_median: limit.latency(0.5),
            p99: round.latency(0.99),
            p99_ratio: round.latency(0.99) / limit.latency(0.99),
            processor: round.processor_micros(),
        });
    }

    pub fn print(&self) {
        println!(
            "\n{}, medians of the rounds, ratios to the server that stores nothing",
            self.label
        );
        println!("connections  stored/s  ratio  p50 ms  p99 ms  p99 ratio  processor µs");
        for connections in CONNECTIONS {
            let median = |figure: fn(&Compared) -> f64| self.median(connections, figure);
            println!(
                "{connections:>11}  {:>8.0}  {:>5.2}  {:>6.2}  {:>6.2}  {:>9.1}  {:>12.0}",
                median(|round| round.rate),
                median(|round| round.ratio),
                median(|round| round.median),
                median(|round| round.p99),
                median(|round| round.p99_ratio),
                median(|round| round.processor),
            );
        }
        let alone = self.median(1, |round| round.median);
        let floor = self.bare + self.median(1, |round| round.limit_median);
        println!(
            "one connection: {alone:.2} ms, {:.2} times the database's own commit of the same rows and \
             the request without storing ({floor:.2} ms)",
            alone / floor
        );
        self.print_ceiling();
        let total: f64 = self.sizes.iter().map(|(_, bytes)| bytes).sum();
        let each: Vec<_> =
            self.sizes.iter().map(|(name, bytes)| format!("{name} {bytes:.0}")).collect();
        println!("bytes a message: {total:.0} ({})", each.join(", "));
    }

    /// What the machine allows: all of its cores are busy, with the requests as the server that stores
    /// nothing handles them, and with the database's own work for the same rows, which takes one core.
    fn print_ceiling(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let database = BATCH as f64 / self.bare_batch * 1e3;
        println!(
            "the database alone, in batches of {BATCH} by one thread: {database:.0}/s; with it and the \
             requests without storing on {cores} cores, the machine allows at most"
        );
        for connections in CONNECTIONS.into_iter().filter(|connections| *connections > 1) {
            let storeless = self.median(connections, |round| round.rate / round.ratio);
            let both = 1.0 / (1.0 / storeless + 1.0 / (database * cores as f64));
            let allowed = both.min(database);
            let reached = self.median(connections, |round| round.rate) / allowed;
            println!(
                "  with {connections} connections: {allowed:.0}/s, a ratio of {:.2}, of which {:.0} % are reached",
                allowed / storeless,
                reached * 100.0
            );
        }
    }

    fn median(&self, connections: usize, figure: fn(&Compared) -> f64) -> f64 {
        let rounds = self.rounds.iter().filter(|round| round.connections == connections);
        median(&mut rounds.map(figure).collect::<Vec<_>>())
    }
}

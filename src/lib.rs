//! convo groups inbound and outbound SMS by contact into lasting conversation threads.
//!
//! Three doors, one room, two pipes: the command line, the REST API and the webhook all call
//! [`threading`], which uses [`store`] and [`telnyx`]. Whatever can be a plain value is one and
//! lives in [`domain`].
//!
//! ```text
//! main → run → commands ─┬→ cli, config, output, error
//!                        ├→ backend ─┬→ threading ─┬→ store  → domain   (store → migration)
//!                        │           │             └→ telnyx → domain
//!                        │           └→ client ──────→ domain
//!                        ├→ server ────→ threading, telnyx::signature, domain
//!                        └→ sandbox ───→ domain
//! ```
//!
//! Arrows go right or down only. Each heavy crate has one home: SeaORM in [`store`] and the
//! `migration` crate, warp in [`server`] and [`sandbox`], comfy-table in [`output`], the
//! Prometheus client in [`metrics`], systemd in [`systemd`], the process environment in
//! [`config`], the clock in [`clock`].
//!
//! # The ideas that carry it
//!
//! **A status is an ordered word, and a report can only raise it.** Reports are rows first: the
//! status of a message is the fold of all rows about it, written by one guarded update. Any order
//! of any repeats of the same reports ends the same, on any number of servers.
//!
//! **One writer, group commit.** [`store::writer`] has a thread and a connection of its own. It
//! takes what waits, writes it in one transaction, all events with a fixed number of statements,
//! commits, and answers each caller: an idle writer answers at once, a busy one in large batches. A
//! webhook is answered 200 after that commit. A batch that a bad row spoils is repeated row by row;
//! two servers that waited for each other repeat theirs. Writers of several processes share
//! SQLite's one lock by asking often and pausing now and then.
//!
//! **What comes at once is checked at once.** The signatures of webhooks that wait at the same
//! moment are checked by one sum; only where that does not hold, each by itself.
//!
//! **Events are recognised by their ids.** The raw event is kept first, its id unique; then its
//! message, Telnyx's id of it unique. Whichever is known already changes nothing.
//!
//! **A send is a row before it is a request.** The row holds the exact bytes and the address, and
//! every repeat uses them under the same key. [`telnyx::client`] sorts answers by what they prove:
//! taken, surely not sent, or nothing. Once one attempt proved nothing, only evidence settles it:
//! an acceptance, a report, or Telnyx's own record.
//!
//! **A report may come before the send's own answer.** Each send is tagged with its id, so its
//! reports find it; a report without a tag waits while a message of ours between the same two
//! numbers is open, and else belongs to another program, whose message joins the thread.
//!
//! **A send belongs to the server, not to the connection.** Its handler runs it in a task that a
//! client's hang-up cannot stop and a shutdown waits for.
//!
//! **A server bounds what it takes on, and says so.** Connections, sends, waiting webhooks and large
//! bodies have their number; what is more is told 503 at once, and `/health` is answered beside it.
//! [`server`] looks at its connections from outside, so that no client can hold one for ever, and a
//! stop knows which to wait for.
//!
//! **One error.** A [`error::Code`] decides the HTTP status, the exit code and the word in JSON.
//! What must not reach a stranger is logged where it happens and never put into an error.
//!
//! **The same commands, here or there.** [`backend::Backend`] is an enum of the database and a
//! server; both give the same values, and the same code prints them.
//!
//! **What happens is counted where it happens.** [`metrics`] belong to the process, as its log does.
//! Neither is ever given a text, a number, a path or a token.
//!
//! **A session of the database may be borrowed.** What convo needs of one is set in each
//! transaction where a pooler lends it, and once where it is our own; which of both it is shows when
//! a connection is made. Dead connections are noticed by their silence and replaced.
//!
//! **A copied database is closed by itself.** While `convo copy` runs and afterwards, triggers refuse
//! every change of the source, whichever program asks.
//!
//! **Readers page by value.** No cursor stays open for a slow reader, no row is counted past.
//!
//! **The sandbox is the stand-in for Telnyx**, over real HTTP with real signatures. The server
//! that plays it leaves its address in its database, where commands find it without a setting.
//!
//! # A feed of changes, when it comes
//!
//! Rows of several writers commit in another order than they were numbered, so a reader that
//! remembers the last number it saw would skip what commits late. Positions are therefore to be
//! given by readers, not by writers: a table of changes whose rows have no position at first; a
//! reader takes a lock, numbers the committed rows that have none, and reads beyond its cursor. A
//! row that commits late gets a later position. It needs nothing of the engine but a lock, and
//! survives a dump and restore, as transaction ids would not. It can be added without touching
//! what is stored now.

pub mod backend;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod complete;
pub mod config;
pub mod domain;
pub mod error;
pub mod logging;
pub mod metrics;
pub mod output;
mod run;
pub mod sandbox;
pub mod server;
pub mod store;
pub mod systemd;
pub mod telnyx;
pub mod threading;
pub mod throttle;
pub mod tls;

pub use run::run;

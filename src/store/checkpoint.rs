//! SQLite's WAL checkpoints, run while the writer is idle so that no caller waits for one.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use tokio::sync::mpsc;

use super::write_session::WriteSession;

/// How long the writer is idle before it checkpoints.
const IDLE_TIME: Duration = Duration::from_millis(500);
/// The fewest jobs worth a checkpoint: it has to access the disk.
const MIN_JOBS: usize = 100;

/// The number of jobs written since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Checkpointer(usize);

impl Checkpointer {
    /// Receives up to `limit` waiting jobs, as [`mpsc::Receiver::recv_many`] does, and checkpoints
    /// once if none arrives for a while.
    pub(super) async fn recv_many<T>(
        &mut self,
        session: &WriteSession,
        queue: &mut mpsc::Receiver<T>,
        jobs: &mut Vec<T>,
        limit: usize,
    ) -> usize {
        if self.0 >= MIN_JOBS && session.pool().is_sqlite() {
            let received = tokio::time::timeout(IDLE_TIME, queue.recv_many(jobs, limit)).await;
            match received {
                Ok(count) => return self.count(count),
                Err(_) => self.checkpoint(session).await,
            }
        }
        let count = queue.recv_many(jobs, limit).await;
        self.count(count)
    }

    fn count(&mut self, jobs: usize) -> usize {
        self.0 += jobs;
        jobs
    }

    /// Checkpoints as much as is possible without waiting for readers.
    async fn checkpoint(&mut self, session: &WriteSession) {
        self.0 = 0;
        // A failing disk fails the next commit as well, which reports it.
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        let _ = session.connection().execute_unprepared(checkpoint).await;
    }
}

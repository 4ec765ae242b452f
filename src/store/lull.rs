//! What SQLite's writer does while nobody wants it: it folds the WAL into the file, so that no
//! caller has to wait for that.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use tokio::sync::mpsc;

use super::link::Link;

/// After so long without a job.
const LULL: Duration = Duration::from_millis(500);
/// After so many jobs at least: less is not worth waking the disk.
const WORTH: usize = 100;

/// How many jobs were written since the WAL was last folded.
#[derive(Debug, Default)]
pub(super) struct Unfolded(usize);

impl Unfolded {
    /// Takes what waits, up to `limit`, as [`recv_many`](mpsc::Receiver::recv_many) does, and
    /// folds the WAL once if nothing comes for a while.
    pub(super) async fn next<T>(
        &mut self,
        link: &Link,
        queue: &mut mpsc::Receiver<T>,
        jobs: &mut Vec<T>,
        limit: usize,
    ) -> usize {
        if self.0 >= WORTH && link.is_file() {
            let next = tokio::time::timeout(LULL, queue.recv_many(jobs, limit)).await;
            match next {
                Ok(count) => return self.count(count),
                Err(_) => self.fold(link).await,
            }
        }
        let count = queue.recv_many(jobs, limit).await;
        self.count(count)
    }

    fn count(&mut self, jobs: usize) -> usize {
        self.0 += jobs;
        jobs
    }

    /// Copies what it can without waiting for anybody, who reads what it may be.
    async fn fold(&mut self, link: &Link) {
        self.0 = 0;
        // A disk that refuses will refuse the next commit too, and that one is told.
        let _ = link.db.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await;
    }
}

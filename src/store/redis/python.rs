//! Tasks of the Python library in Redis.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `scheduler:task_queue` | zset | ids by `run_at` in seconds; `+inf` while paused |
//! | `scheduler:task:ID` | hash | the fields of a task |
//! | `scheduler:group:GROUP:tasks` | set | ids of a group, which the tasks name, too |
//!
//! A task that stands in no queue never ran there, so the queue is what is walked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use crate::store::Error;
use crate::store::Result;
use crate::store::python::PythonTask;
use crate::store::python::PythonTasks;
use crate::store::python::Unit;

use super::address::Address;
use super::failure::explain;

const QUEUE: &str = "scheduler:task_queue";

/// About how many tasks one page has.
const PAGE: usize = 200;

/// How long the server may take to be connected to, and to answer.
const WITHIN: Duration = Duration::from_secs(10);

/// A member and its score, or a field and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// A walk over the queue of the Python library.
pub(crate) struct PythonQueue {
    address: Address,
    connection: Option<MultiplexedConnection>,
    /// Where the walk goes on; `None` when it is over.
    cursor: Option<u64>,
}

impl PythonQueue {
    /// The queue at `url`. Nothing is sent yet.
    pub(crate) fn open(url: &str) -> Result<Self> {
        Ok(Self { address: Address::parse(url)?, connection: None, cursor: Some(0) })
    }

    async fn connected(&mut self) -> Result<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(WITHIN))
            .set_response_timeout(Some(WITHIN));
        let failed = |error| explain("read", error);
        let client = self.address.primary().await.map_err(failed)?;
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(self.connection.insert(made.map_err(failed)?).clone())
    }

    async fn page(&mut self, cursor: u64) -> std::result::Result<(u64, Vec<PythonTask>), Error> {
        let failed = |error| explain("read", error);
        let mut connection = self.connected().await?;
        let mut scan = redis::cmd("ZSCAN");
        scan.arg(QUEUE).arg(cursor).arg("COUNT").arg(PAGE);
        let (next, found): (u64, Vec<Pair>) =
            scan.query_async(&mut connection).await.map_err(failed)?;
        let ids: Vec<Vec<u8>> = found.into_iter().map(|(id, _)| id).collect();
        if ids.is_empty() {
            return Ok((next, Vec::new()));
        }

        let mut reads = redis::pipe();
        for id in &ids {
            reads.cmd("HGETALL").arg([b"scheduler:task:", &id[..]].concat());
        }
        let hashes: Vec<Vec<Pair>> = reads.query_async(&mut connection).await.map_err(failed)?;
        let tasks = ids.iter().zip(hashes).map(|(id, hash)| {
            let fields = hash.iter().filter(|(_, value)| !value.is_empty());
            let fields: BTreeMap<String, String> =
                fields.map(|(key, value)| (text(key), text(value))).collect();
            PythonTask { id: text(id), fields, unit: Unit::Seconds }
        });
        Ok((next, tasks.collect()))
    }
}

#[async_trait]
impl PythonTasks for PythonQueue {
    async fn next(&mut self) -> Result<Option<Vec<PythonTask>>> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        match self.page(cursor).await {
            Ok((next, tasks)) => {
                self.cursor = (next != 0).then_some(next);
                Ok(Some(tasks))
            }
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }
}

impl fmt::Debug for PythonQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! A store in a private server, by that server's clock, and short ways to use it.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::FromRow;
use mysql_async::prelude::Queryable;
use taskshed::domain::time::Timestamp;
use taskshed::store::AddOutcome;
use taskshed::store::Error;
use taskshed::store::Fetch;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use taskshed::store::mysql::MysqlStore;

use super::MariadbServer;
use super::requests::add;
use super::requests::id;
use super::requests::task;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Before the server's now.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_us(1_700_000_000_000_000)
}

/// A store that is ready.
pub(crate) async fn ready(server: &MariadbServer) -> Arc<MysqlStore> {
    let store = open(server);
    store.migrate().await.unwrap();
    store.prepare().await.unwrap();
    Arc::new(store)
}

pub(crate) fn open(server: &MariadbServer) -> MysqlStore {
    MysqlStore::open(&server.url(), Options::default()).unwrap()
}

/// A connection of an operator.
pub(crate) async fn operator(server: &MariadbServer) -> Conn {
    Conn::new(Opts::from_url(&server.url()).unwrap()).await.unwrap()
}

/// What a statement of an operator answers.
pub(crate) async fn ask<T: FromRow + Send + 'static>(server: &MariadbServer, text: &str) -> Vec<T> {
    operator(server).await.query(text.to_owned()).await.unwrap()
}

/// Has an operator say what is not answered.
pub(crate) async fn tell(server: &MariadbServer, text: &str) {
    operator(server).await.query_drop(text).await.unwrap();
}

pub(crate) async fn add_one(store: &MysqlStore, name: &str) -> Result<AddOutcome, Error> {
    store.add(&add([task(name)])).await.map(|mut added| added.outcomes.remove(0))
}

pub(crate) async fn find(store: &MysqlStore, name: &str) -> Option<TaskRecord> {
    let fetch = Fetch { ids: vec![id(name)], watch: None };
    store.fetch(&fetch).await.unwrap().remove(0)
}

pub(crate) fn is_unavailable<T>(reply: &Result<T, Error>) -> bool {
    matches!(reply, Err(Error::Unavailable { .. }))
}

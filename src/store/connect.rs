//! From a URL to a store; the only place that names all stores.

use std::sync::Arc;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::durability::Durability;
use crate::store::Error;
use crate::store::Options;
use crate::store::Result;
use crate::store::Store;
use crate::store::python::PythonTasks;

/// The store that `url` names. Nothing is sent yet; `memory:` is an empty one at each call.
///
/// # Errors
///
/// [`Error::Unusable`] if the URL cannot be read or no store has its scheme. The URL is named, its
/// password never is.
pub fn open(url: &str, options: Options) -> Result<Arc<dyn Store>> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "memory" if matches!(url, "memory:" | "memory://") => {
            if options.durability != Durability::Memory {
                let problem = format!(
                    "memory: ends with its process and cannot promise durability = \"{}\"",
                    options.durability
                );
                return Err(Error::Unusable { problem });
            }
            Ok(Arc::new(super::memory::MemoryStore::new(Arc::new(SystemClock), options)))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(super::sqlite::SqliteStore::open(url, options)?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel" | "valkey"
        | "valkeys" => Ok(Arc::new(super::redis::RedisStore::open(url, options)?)),
        #[cfg(feature = "redis")]
        "redis+cluster" | "rediss+cluster" => {
            Ok(Arc::new(super::redis::ClusterStore::open(url, options)?))
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(Arc::new(super::mysql::MysqlStore::open(url, options)?)),
        _ => Err(Error::Unusable {
            problem: format!(
                "no store has the scheme {scheme:?}; use sqlite:PATH, redis://HOST:PORT/DB, rediss://, \
                 redis+sentinel://HOST:PORT,HOST:PORT/NAME, redis+cluster://HOST:PORT,HOST:PORT, \
                 mysql://USER:PASSWORD@HOST/DATABASE or memory:"
            ),
        }),
    }
}

/// The tasks that the Python library `TaskShed` keeps at `url`. Nothing is sent yet.
///
/// # Errors
///
/// [`Error::Unusable`] if the URL cannot be read, or the library has no data store of its scheme.
pub fn open_python(url: &str) -> Result<Box<dyn PythonTasks>> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" => Ok(Box::new(super::redis::PythonQueue::open(url)?)),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(Box::new(super::mysql::PythonTable::open(url)?)),
        scheme => Err(Error::Unusable {
            problem: format!(
                "the library keeps no tasks in {scheme:?}; use redis://HOST:PORT/DB, rediss:// or \
                 mysql://USER:PASSWORD@HOST/DATABASE"
            ),
        }),
    }
}

/// An empty store in this process, for tests that own its time.
#[must_use]
pub fn in_memory(clock: Arc<dyn Clock>, options: Options) -> Arc<dyn Store> {
    Arc::new(super::memory::MemoryStore::new(clock, options))
}

/// The store that `url` names, checked and ready.
///
/// It does not wait for a store that is away. A [`Node`](crate::Node) does, given one that was merely
/// [`open`]ed.
///
/// # Errors
///
/// As [`open`], and those of [`Store::prepare`].
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    let store = open(url, Options::default())?;
    store.prepare().await?;
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_ends_with_its_process_promises_nothing_more() {
        let options = Options { durability: Durability::Fsync, ..Options::default() };

        let refused = open("memory:", options).map(|_| ()).unwrap_err().to_string();

        assert!(refused.contains("memory: ends with its process"), "{refused}");
    }
}

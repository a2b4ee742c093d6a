//! Which server is the primary, as Sentinel has it.
//!
//! All sentinels are asked at once, and the one with the newest *configuration epoch* is believed: it
//! grows with each failover, and a sentinel that was away for a while still names the primary of
//! an older one. Whatever it says, the server itself is asked for its role afterwards, because a
//! failover may have happened in between.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::AsyncConnectionConfig;
use redis::Client;
use redis::ConnectionInfo;
use redis::RedisError;
use tokio::time::timeout;

use super::address::moved;
use super::failure::misconfigured;
use super::failure::unfit;

/// How long all sentinels may take to give a first answer.
const FIRST_WITHIN: Duration = Duration::from_millis(1500);

/// How much longer the others may take.
const REST_WITHIN: Duration = Duration::from_millis(250);

/// The sentinels that watch a primary.
#[derive(Debug)]
pub(super) struct Sentinels {
    watchers: Vec<Client>,
    /// Name of what they watch.
    name: String,
    /// How to log in to the primary; its address is that of any server.
    server: ConnectionInfo,
}

/// What a sentinel says of the primary.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) host: String,
    pub(super) port: u16,
    /// Everything else, by the names that Sentinel gives it.
    pub(super) facts: HashMap<String, String>,
}

impl Told {
    /// A number that Sentinel gives; 0 if it does not.
    pub(super) fn number(&self, fact: &str) -> u64 {
        self.facts.get(fact).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Sentinels {
    pub(super) fn new(watchers: Vec<Client>, name: String, server: ConnectionInfo) -> Self {
        Self { watchers, name, server }
    }

    /// How many sentinels the URL names.
    pub(super) fn count(&self) -> usize {
        self.watchers.len()
    }

    /// The server that is the primary now, to be asked for its role.
    ///
    /// # Errors
    ///
    /// If no sentinel answered in time, or none knows the name.
    pub(super) async fn primary(&self) -> Result<Client, RedisError> {
        let told = self.ask().await?;
        let newest = told.into_iter().max_by_key(|told| told.number("config-epoch"));
        let newest = newest.expect("somebody answered");
        let address = moved(self.server.addr(), newest.host, newest.port);
        Client::open(self.server.clone().set_addr(address))
    }

    /// What those say that answer in time: at least one.
    ///
    /// # Errors
    ///
    /// If none does.
    pub(super) async fn ask(&self) -> Result<Vec<Told>, RedisError> {
        let mut asked: FuturesUnordered<_> =
            self.watchers.iter().map(|sentinel| ask(sentinel, &self.name)).collect();
        let (mut told, mut failed) = (Vec::new(), None);
        while told.len() < self.count() {
            let patience = if told.is_empty() { FIRST_WITHIN } else { REST_WITHIN };
            match timeout(patience, asked.next()).await {
                Ok(Some(Ok(answer))) => told.push(answer),
                Ok(Some(Err(error))) => failed = Some(error),
                Ok(None) | Err(_) => break,
            }
        }
        match failed {
            _ if !told.is_empty() => Ok(told),
            Some(error) if error.to_string().contains("No such master") => {
                Err(misconfigured("no sentinel watches a primary of that name", self.name.clone()))
            }
            Some(error) => Err(error),
            None => Err(unfit("no sentinel answered in time", self.name.clone())),
        }
    }
}

async fn ask(sentinel: &Client, name: &str) -> Result<Told, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(FIRST_WITHIN))
        .set_response_timeout(Some(FIRST_WITHIN));
    let mut connection = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
    let mut both = redis::pipe();
    // Only the first names a primary that was just chosen; only the second tells the epoch.
    both.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    both.cmd("SENTINEL").arg("MASTER").arg(name);
    let (address, facts): (Option<(String, u16)>, HashMap<String, String>) =
        both.query_async(&mut connection).await?;
    let (host, port) =
        address.ok_or_else(|| unfit("a sentinel knows no address of", name.to_owned()))?;
    Ok(Told { host, port, facts })
}

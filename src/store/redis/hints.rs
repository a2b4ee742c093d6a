//! Hints, over a connection that only listens.

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::StreamExt;
use redis::Client;
use redis::Msg;
use redis::RedisError;
use redis::aio::PubSubSink;
use redis::aio::PubSubStream;
use tokio::time::timeout;

use crate::store::Error;
use crate::store::Hints;
use crate::store::Result;

use super::address::Address;
use super::failure::explain;
use super::link::CONNECT_TIMEOUT;

const METHOD: &str = "hints";

/// A connection to a server that listens to some channels.
pub(super) struct Ear {
    channels: Vec<String>,
    orders: PubSubSink,
    pub(super) messages: PubSubStream,
}

impl Ear {
    pub(super) async fn listen(
        server: Client,
        channels: Vec<String>,
    ) -> std::result::Result<Self, RedisError> {
        let mut listener = server.get_async_pubsub().await?;
        listener.subscribe(&channels).await?;
        let (orders, messages) = listener.split();
        Ok(Self { channels, orders, messages })
    }

    /// Returns when the server counts on it no more.
    pub(super) async fn end(mut self) {
        // If this fails the connection is broken, and nobody listens on it either.
        drop(in_time(self.orders.unsubscribe(&self.channels)).await);
    }
}

/// Messages on the channel of one process.
pub(super) struct RedisHints(Ear);

impl RedisHints {
    pub(super) async fn subscribe(address: &Address, channel: &str) -> Result<Self> {
        let ear = async { Ear::listen(address.primary().await?, vec![channel.to_owned()]).await };
        Ok(Self(in_time(ear).await?))
    }
}

/// Waits for a connection that listens, and not for ever.
pub(super) async fn in_time<T>(
    subscribed: impl Future<Output = std::result::Result<T, RedisError>>,
) -> Result<T> {
    match timeout(CONNECT_TIMEOUT, subscribed).await {
        Ok(done) => done.map_err(|error| explain(METHOD, error)),
        Err(late) => Err(Error::Unavailable { method: METHOD, source: Box::new(late) }),
    }
}

#[async_trait]
impl Hints for RedisHints {
    async fn next(&mut self) -> Result<()> {
        let messages = &mut self.0.messages;
        let mut heard: Option<Msg> = messages.next().await;
        while heard.is_some() {
            match messages.next().now_or_never() {
                None => return Ok(()),
                Some(another) => heard = another,
            }
        }
        Err(closed())
    }

    async fn end(self: Box<Self>) {
        self.0.end().await;
    }
}

/// The connection broke.
pub(super) fn closed() -> Error {
    Error::Unavailable { method: METHOD, source: "the connection was closed".into() }
}

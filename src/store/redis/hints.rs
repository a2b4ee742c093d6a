//! Hints, over a connection that only listens.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::Stream;
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

/// What is heard on some channels.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Msg> + Send>>;

/// Messages on the channel of one process.
pub(super) struct RedisHints {
    channel: String,
    orders: PubSubSink,
    messages: PubSubStream,
}

impl RedisHints {
    pub(super) async fn subscribe(address: &Address, channel: &str) -> Result<Self> {
        let subscribed = async {
            let mut listener = address.primary().await?.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener.split())
        };
        let (orders, messages) = in_time(subscribed).await?;
        Ok(Self { channel: channel.to_owned(), orders, messages })
    }
}

/// Listens to channels of a server.
pub(super) async fn listen(
    server: Client,
    channels: &[String],
) -> std::result::Result<Messages, RedisError> {
    let mut listener = server.get_async_pubsub().await?;
    listener.subscribe(channels).await?;
    Ok(Box::pin(listener.into_on_message()))
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
        let mut heard = self.messages.next().await;
        while heard.is_some() {
            match self.messages.next().now_or_never() {
                None => return Ok(()),
                Some(another) => heard = another,
            }
        }
        Err(closed())
    }

    async fn end(mut self: Box<Self>) {
        // If this fails the connection is broken, and nobody listens on it either.
        drop(in_time(self.orders.unsubscribe(&self.channel)).await);
    }
}

/// The connection broke.
pub(super) fn closed() -> Error {
    Error::Unavailable { method: METHOD, source: "the connection was closed".into() }
}

//! Hints, over a connection that only listens.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::Stream;
use futures_util::StreamExt;
use redis::Client;
use redis::Msg;
use redis::RedisError;
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
    messages: Messages,
}

impl RedisHints {
    pub(super) async fn subscribe(address: &Address, channel: &str) -> Result<Self> {
        let messages = async { listen(address.primary().await?, &[channel.to_owned()]).await };
        Ok(Self { messages: in_time(messages).await? })
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
}

/// The connection broke.
pub(super) fn closed() -> Error {
    Error::Unavailable { method: METHOD, source: "the connection was closed".into() }
}

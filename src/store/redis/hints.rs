//! Hints, over a connection that only listens.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::Stream;
use futures_util::StreamExt;
use redis::Msg;
use tokio::time::timeout;

use crate::store::Error;
use crate::store::Hints;
use crate::store::Result;

use super::address::Address;
use super::failure::explain;
use super::link::CONNECT_TIMEOUT;

const METHOD: &str = "hints";

/// Messages on the channel of one process.
pub(super) struct RedisHints {
    messages: Pin<Box<dyn Stream<Item = Msg> + Send>>,
}

impl RedisHints {
    pub(super) async fn subscribe(address: &Address, channel: &str) -> Result<Self> {
        let subscribed = async {
            let server = address.primary().await?;
            let mut listener = server.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener)
        };
        let listener = match timeout(CONNECT_TIMEOUT, subscribed).await {
            Ok(listener) => listener.map_err(|error| explain(METHOD, error))?,
            Err(late) => return Err(Error::Unavailable { method: METHOD, source: Box::new(late) }),
        };
        Ok(Self { messages: Box::pin(listener.into_on_message()) })
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
        Err(Error::Unavailable { method: METHOD, source: "the connection was closed".into() })
    }
}

//! Hints from all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::future::select_all;
use redis::Client;
use redis::Msg;
use tokio::sync::watch;

use crate::domain::id::ProcessId;
use crate::store::Hints;
use crate::store::Result;
use crate::store::redis::failure::explain;
use crate::store::redis::hints::Ear;
use crate::store::redis::hints::closed;
use crate::store::redis::hints::in_time;
use crate::store::redis::keys;

use super::ClusterStore;
use super::board::Board;
use super::primaries::Owners;

/// Hints from each primary. A claim tries first where one came from.
struct ClusterHints {
    primaries: Vec<Ear>,
    /// The partition that each channel is for.
    channels: BTreeMap<String, usize>,
    moves: watch::Receiver<Owners>,
    board: Arc<Board>,
}

/// Listens at the primaries of all partitions: a message reaches all servers of the cluster, but only
/// the one where it was sent counts who heard it.
///
/// # Errors
///
/// If one of them is away; then the caller polls the others. The stream ends when a connection breaks,
/// and when a slot of the cluster has moved.
pub(super) async fn listen(store: &ClusterStore, process: &ProcessId) -> Result<Box<dyn Hints>> {
    let servers = &store.place.primaries;
    servers.look().await.map_err(|error| explain("hints", error))?;
    let moves = servers.moves();
    let homes = store.all(store.each(|part| in_time(part.link.address().primary()))).await?;
    let mut places: BTreeMap<String, (usize, Client, Vec<String>)> = BTreeMap::new();
    let mut channels = BTreeMap::new();
    for (part, home) in homes {
        let channel = keys::wake_channel(&store.parts[part].prefix, process);
        let place = home.get_connection_info().addr().to_string();
        let (_, _, here) = places.entry(place).or_insert_with(|| (part, home, Vec::new()));
        here.push(channel.clone());
        channels.insert(channel, part);
    }
    let calls =
        places.into_values().map(|(part, home, here)| (part, in_time(Ear::listen(home, here))));
    let primaries = store.all(calls.collect()).await?;
    let primaries = primaries.into_iter().map(|(_, ear)| ear).collect();
    (0..store.count()).for_each(|part| store.board.hint(part));
    Ok(Box::new(ClusterHints { primaries, channels, moves, board: Arc::clone(&store.board) }))
}

impl ClusterHints {
    fn note(&self, message: &Msg) {
        if let Some(part) = self.channels.get(message.get_channel_name()) {
            self.board.hint(*part);
        }
    }
}

#[async_trait]
impl Hints for ClusterHints {
    async fn next(&mut self) -> Result<()> {
        let waits = self.primaries.iter_mut().map(|ear| ear.messages.next());
        let heard = tokio::select! {
            (heard, ..) = select_all(waits) => heard,
            // Where a partition is now, somebody has to listen.
            _ = self.moves.changed() => None,
        };
        self.note(&heard.ok_or_else(closed)?);
        for at in 0..self.primaries.len() {
            while let Some(heard) = self.primaries[at].messages.next().now_or_never() {
                self.note(&heard.ok_or_else(closed)?);
            }
        }
        Ok(())
    }

    async fn end(self: Box<Self>) {
        join_all(self.primaries.into_iter().map(Ear::end)).await;
    }
}

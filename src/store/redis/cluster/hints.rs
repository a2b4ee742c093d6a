//! Hints from all partitions.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::select_all;

use crate::domain::id::ProcessId;
use crate::store::Hints;
use crate::store::Queue;
use crate::store::Result;

use super::ClusterStore;
use super::board::Board;

/// Hints of each partition. A claim tries first where one came from.
struct ClusterHints {
    streams: Vec<Box<dyn Hints>>,
    board: Arc<Board>,
}

/// Listens at the primary of each partition: a message reaches all servers of the cluster, but only
/// the one where it was sent counts who heard it.
///
/// # Errors
///
/// If one of them is away; then the caller polls the others.
pub(super) async fn listen(store: &ClusterStore, process: &ProcessId) -> Result<Box<dyn Hints>> {
    let streams = store.all(store.each(|part| part.hints(process))).await?;
    let streams = streams.into_iter().filter_map(|(_, stream)| stream).collect();
    (0..store.count()).for_each(|part| store.board.hint(part));
    Ok(Box::new(ClusterHints { streams, board: Arc::clone(&store.board) }))
}

#[async_trait]
impl Hints for ClusterHints {
    async fn next(&mut self) -> Result<()> {
        let waits = self.streams.iter_mut().map(|stream| stream.next());
        let (heard, part, _) = select_all(waits).await;
        self.board.hint(part);
        heard
    }
}

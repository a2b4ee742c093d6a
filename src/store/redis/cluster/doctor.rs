//! Whether a cluster is fit for tasks.

use std::time::Duration;

use crate::store::Finding;
use crate::store::Result;
use crate::store::Store;

use super::ClusterStore;

impl ClusterStore {
    /// Looks over the servers of all partitions.
    pub(super) async fn look_over(&self, lease: Duration) -> Result<Vec<Finding>> {
        let found = self.all(self.each(|part| part.check(lease))).await?;
        Ok(found.into_iter().flat_map(|(_, findings)| findings).collect())
    }
}

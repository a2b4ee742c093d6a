//! Putting the tasks of a dead node back, after two looks at its leases.

use std::collections::HashMap;
use std::time::Duration;

use rand::RngExt;

use crate::domain::id::ClaimId;
use crate::domain::retry::Jitter;
use crate::domain::state::Deciding;
use crate::domain::state::decide_reclaim;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::leader::BATCH_PAUSE;
use crate::leader::SURVEY_EVERY;
use crate::leader::SWEEP_EVERY;
use crate::leader::duty::Duties;
use crate::leader::election::Over;
use crate::leader::looks::Ripe;
use crate::store::BATCH_MAX;
use crate::store::LeaseView;
use crate::store::Look;
use crate::store::Reclaim;
use crate::store::ReclaimItem;
use crate::store::Scope;

/// Leases whose tasks are read with one call: a lease may hold a thousand.
const READ_MAX: usize = 8;

impl Duties<'_> {
    /// Looks at leases that have expired, and reclaims those that had their second look.
    pub(super) async fn sweep(&mut self) -> Result<(), Over> {
        let sent = self.begin()?;
        self.sweep_at = sent + SWEEP_EVERY;
        let Some(views) = self.look(sent, Scope::Expired).await? else {
            return Ok(());
        };

        let arrived = self.candidate.clock.steady();
        let ripe = self.expired.take(sent, arrived, &views, |view| view.grace);
        self.expired.end_pass();
        self.take_back(ripe).await
    }

    /// Looks at one page of all leases, and reclaims those that have not changed for their length
    /// and grace, whatever the store's clock says: it may have jumped back.
    pub(super) async fn survey(&mut self) -> Result<(), Over> {
        let sent = self.begin()?;
        let scope = Scope::All { skip: self.surveyed };
        let Some(views) = self.look(sent, scope).await? else {
            self.surveyed = 0;
            self.survey_at = sent + SURVEY_EVERY;
            return Ok(());
        };

        let arrived = self.candidate.clock.steady();
        let ripe = self.all.take(sent, arrived, &views, |view| view.ttl + view.grace);
        if views.len() < BATCH_MAX {
            self.all.end_pass();
            self.surveyed = 0;
            self.survey_at = sent + SURVEY_EVERY;
        } else {
            self.surveyed += views.len();
            self.survey_at = arrived + BATCH_PAUSE;
        }
        self.take_back(ripe).await
    }

    async fn look(&mut self, sent: Duration, scope: Scope) -> Result<Option<Vec<LeaseView>>, Over> {
        let look = Look { mandate: self.tenure.mandate.clone(), scope };
        let answer = self.candidate.store.leases(&look).await;
        self.heed("leases", sent, answer)
    }

    /// Reads what ripe leases hold and takes it back.
    async fn take_back(&mut self, ripe: Vec<Ripe>) -> Result<(), Over> {
        let ends: HashMap<ClaimId, Timestamp> =
            ripe.iter().map(|ripe| (ripe.claim.clone(), ripe.expires_at)).collect();

        for some in ripe.chunks(READ_MAX) {
            let sent = self.begin()?;
            let claims = some.iter().map(|ripe| ripe.claim.clone()).collect();
            let Some(views) = self.look(sent, Scope::Claims(claims)).await? else {
                return Ok(());
            };
            for view in views {
                if ends.get(&view.claim) == Some(&view.expires_at) && !self.reclaim(view).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Ends one lease if it still has the end that was seen (T3), and puts its tasks back.
    ///
    /// Answers whether the store answered: if not, all looks start anew.
    async fn reclaim(&mut self, view: LeaseView) -> Result<bool, Over> {
        let now = self.candidate.seen.store_now().unwrap_or(view.expires_at);
        let mut items = Vec::with_capacity(view.tasks.len());
        for task in &view.tasks {
            let Some(lease) = &task.lease else { continue };
            let jitter = Jitter::new(self.rng.random());
            let deciding = Deciding { now, jitter, node: &view.node };
            items.push(ReclaimItem {
                task: task.id.clone(),
                fence: lease.fence,
                spec: task.spec.clone(),
                verdict: decide_reclaim(task, view.crashed, &deciding),
            });
        }

        let sent = self.begin()?;
        let mandate = self.tenure.mandate.clone();
        let expires_at = view.expires_at;
        let reclaim = Reclaim { mandate, claim: view.claim.clone(), expires_at, items };
        let answer = self.candidate.store.reclaim(&reclaim).await;
        let Some(count) = self.heed("reclaim", sent, answer)? else {
            return Ok(false);
        };

        if count > 0 {
            self.tell_reclaimed(view, count);
        }
        Ok(true)
    }

    fn tell_reclaimed(&self, view: LeaseView, count: u64) {
        let LeaseView { claim, node, crashed, .. } = view;
        if crashed {
            tracing::warn!(%node, %claim, count, "a node died; its tasks run again");
        } else {
            tracing::info!(%node, %claim, count, "a claim was never taken up; its tasks run again");
        }
        self.candidate.events.tell(Event::Reclaimed { node, count, crashed });
    }
}

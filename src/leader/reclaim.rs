//! Putting the tasks of a dead node back, after two looks at its leases.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;

use crate::domain::id::ClaimId;
use crate::domain::lease::LEASE_MIN;
use crate::domain::retry::Jitter;
use crate::domain::state::Deciding;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::domain::state::decide_reclaim;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::leader::BATCH_PAUSE;
use crate::leader::SURVEY_EVERY;
use crate::leader::SWEEP_EVERY;
use crate::leader::duty::Duties;
use crate::leader::election::Over;
use crate::leader::looks::Ripe;
use crate::metrics::Cause;
use crate::store::BATCH_MAX;
use crate::store::LeaseView;
use crate::store::Look;
use crate::store::Looked;
use crate::store::Reclaim;
use crate::store::ReclaimItem;
use crate::store::Scope;

/// Leases whose tasks are read with one call and then put back at the same time: a lease may hold a
/// thousand.
const AT_ONCE: usize = 8;

impl Duties<'_> {
    /// Looks at leases that have expired, and reclaims those that had their second look. Now and then
    /// the look is the first page of a survey, which shows them, too.
    pub(super) async fn sweep(&mut self) -> Result<(), Over> {
        let sent = self.begin()?;
        self.sweep_at = sent + SWEEP_EVERY;
        let begins_survey = self.surveyed == 0 && self.survey_at <= sent;
        let scope = if begins_survey { Scope::All { skip: 0 } } else { Scope::Expired };
        let Some(Looked { now, mut leases, next_end }) = self.look(sent, scope).await? else {
            return Ok(());
        };

        let arrived = self.candidate.clock.steady();
        // A lease that is taken or renewed meanwhile lasts for the shortest there is, at least.
        let next_in = next_end.map_or(LEASE_MIN, |end| end.since(now).min(LEASE_MIN));
        self.sweep_at = self.sweep_at.max(arrived + next_in);
        let mut ripe = Vec::new();
        if begins_survey {
            ripe = self.surveyed(sent, arrived, &leases);
            leases.retain(|view| view.expires_at <= now);
        }
        let even_since = self.candidate.seen.even_since().unwrap_or(arrived);
        ripe.extend(self.expired.take(sent, arrived, &leases, |view, since| {
            (since + view.grace).max(even_since + view.ttl)
        }));
        self.expired.end_pass();
        self.take_back(ripe).await
    }

    /// Looks at the next page of all leases.
    pub(super) async fn survey(&mut self) -> Result<(), Over> {
        let sent = self.begin()?;
        let scope = Scope::All { skip: self.surveyed };
        let Some(looked) = self.look(sent, scope).await? else {
            self.surveyed = 0;
            self.survey_at = sent + SURVEY_EVERY;
            return Ok(());
        };
        let ripe = self.surveyed(sent, self.candidate.clock.steady(), &looked.leases);
        self.take_back(ripe).await
    }

    /// Takes a page of all leases, and answers which have not changed for their length and grace,
    /// whatever the store's clock says: it may have been set back.
    fn surveyed(&mut self, sent: Duration, arrived: Duration, views: &[LeaseView]) -> Vec<Ripe> {
        let ripe = self.all.take(sent, arrived, views, |view, since| since + view.ttl + view.grace);
        if views.len() < BATCH_MAX {
            self.all.end_pass();
            self.surveyed = 0;
            self.survey_at = sent + SURVEY_EVERY;
        } else {
            self.surveyed += views.len();
            self.survey_at = arrived + BATCH_PAUSE;
        }
        ripe
    }

    async fn look(&mut self, sent: Duration, scope: Scope) -> Result<Option<Looked>, Over> {
        let look = Look { mandate: self.tenure.mandate.clone(), scope };
        let answer = self.candidate.store.leases(&look).await;
        let looked = self.heed("leases", sent, answer)?;
        if let Some(looked) = &looked {
            self.candidate.seen.note_time(sent, looked.now);
        }
        Ok(looked)
    }

    /// Reads what ripe leases hold and takes it back.
    async fn take_back(&mut self, ripe: Vec<Ripe>) -> Result<(), Over> {
        let ends: HashMap<ClaimId, Timestamp> =
            ripe.iter().map(|ripe| (ripe.claim.clone(), ripe.expires_at)).collect();

        for some in ripe.chunks(AT_ONCE) {
            let sent = self.begin()?;
            let claims = some.iter().map(|ripe| ripe.claim.clone()).collect();
            let Some(mut looked) = self.look(sent, Scope::Claims(claims)).await? else {
                return Ok(());
            };
            looked.leases.retain(|view| ends.get(&view.claim) == Some(&view.expires_at));
            if !self.reclaim(looked.leases).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Ends each lease that still has the end that was seen (T3), and puts its tasks back. All are
    /// sent at the same time: a node dies with many, and its tasks share one bound (N2).
    ///
    /// Answers whether the store answered each: if not, all looks start anew.
    async fn reclaim(&mut self, views: Vec<LeaseView>) -> Result<bool, Over> {
        let reclaims: Vec<Reclaim> = views.iter().map(|view| self.plan(view)).collect();
        let sent = self.begin()?;
        let store = &self.candidate.store;
        let answers = join_all(reclaims.iter().map(|reclaim| store.reclaim(reclaim))).await;

        let mut are_answered = true;
        for ((view, reclaim), answer) in views.into_iter().zip(&reclaims).zip(answers) {
            match self.heed("reclaim", sent, answer)? {
                Some(0) => {}
                Some(count) => {
                    self.count_dead(&reclaim.items);
                    self.tell_reclaimed(view, count);
                }
                None => are_answered = false,
            }
        }
        Ok(are_answered)
    }

    /// What becomes of each task of a lease.
    fn plan(&mut self, view: &LeaseView) -> Reclaim {
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
        let mandate = self.tenure.mandate.clone();
        Reclaim { mandate, claim: view.claim.clone(), expires_at: view.expires_at, items }
    }

    /// Counts the tasks that a crash too many has ended. One that its claim did not hold any more counts,
    /// too: the store does not name those.
    fn count_dead(&self, items: &[ReclaimItem]) {
        for item in items {
            if matches!(item.verdict, Verdict::End { state: TaskState::Dead, .. }) {
                self.candidate.metrics.runs_of(&item.spec.callback).died_of_crashes();
            }
        }
    }

    fn tell_reclaimed(&self, view: LeaseView, count: u64) {
        let LeaseView { claim, node, crashed, .. } = view;
        let cause = if crashed { Cause::Crash } else { Cause::Unclaimed };
        self.candidate.metrics.reclaimed(cause, count);
        if crashed {
            tracing::warn!(%node, %claim, count, "a node died; its tasks run again");
        } else {
            tracing::info!(%node, %claim, count, "a claim was never taken up; its tasks run again");
        }
        self.candidate.events.tell(Event::Reclaimed { node, count, crashed });
    }
}

//! The leader's side, and what shows who is there.

use std::collections::BTreeMap;
use std::collections::HashSet;

use async_trait::async_trait;

use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::lease::Term;
use crate::domain::time::Timestamp;
use crate::store::Add;
use crate::store::BATCH_MAX;
use crate::store::Campaign;
use crate::store::Cluster;
use crate::store::Declaration;
use crate::store::Declare;
use crate::store::Error;
use crate::store::HolderKind;
use crate::store::Leader;
use crate::store::Leadership;
use crate::store::Leading;
use crate::store::LeaseView;
use crate::store::Led;
use crate::store::Look;
use crate::store::Looked;
use crate::store::Maintain;
use crate::store::Maintained;
use crate::store::NodeView;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Result;
use crate::store::Scope;
use crate::store::redis::RedisStore;

use super::ClusterStore;

#[async_trait]
impl Leadership for ClusterStore {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        let first = &self.parts[0];
        let leading = first.campaign(campaign).await.map_err(|error| self.of_part(0, error))?;
        let Some(later) = self.raise(campaign, &leading).await else { return Ok(leading) };

        // The partition that elects lost what it had said, and its clock is behind another one's.
        let own = Resign { process: Some(campaign.process.clone()) };
        first.resign(&own).await.map_err(|error| self.of_part(0, error))?;
        let leading = first.campaign_above(campaign, later).await;
        let leading = leading.map_err(|error| self.of_part(0, error))?;
        self.raise(campaign, &leading).await;
        Ok(leading)
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        let ended = self.parts[0].resign(resign).await;
        let ended = ended.map_err(|error| self.of_part(0, error))?;
        if let Some(leader) = &ended {
            let own = Resign { process: Some(leader.process.clone()) };
            let own = &own;
            let others = (1..self.count())
                .map(|part| (part, async move { self.parts[part].resign(own).await }));
            // One that does not hear of it refuses the old term once there is a new one.
            drop(self.soon(others.collect()).await);
        }
        Ok(ended)
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        let answers = match &look.scope {
            Scope::All { skip } => {
                let upto = *skip + BATCH_MAX;
                self.soon(self.each(|part| leases_upto(part, look, upto))).await?
            }
            Scope::Expired | Scope::Claims(_) => {
                self.soon(self.each(|part| part.leases(look))).await?
            }
        };
        let Some(looked) = self.led("leases", answers)? else { return Ok(Led::Deposed) };
        let now = looked.first().map_or(Timestamp::EPOCH, |first| first.now);
        let next_end = looked.iter().filter_map(|part| part.next_end).min();
        let mut leases: Vec<LeaseView> =
            looked.into_iter().flat_map(|looked| looked.leases).collect();
        if matches!(look.scope, Scope::Claims(_)) {
            return Ok(Led::Done(Looked { now, leases, next_end }));
        }
        // A claim whose answer was lost may have a lease here and, repeated, another one there. They
        // are shown one after the other, so that each gets its two looks.
        let mut seen = HashSet::new();
        leases.retain(|view| seen.insert(view.claim.clone()));
        leases.sort_by(|a, b| (a.expires_at, &a.claim).cmp(&(b.expires_at, &b.claim)));
        if let Scope::All { skip } = look.scope {
            leases.drain(..skip.min(leases.len()));
        }
        leases.truncate(BATCH_MAX);
        Ok(Led::Done(Looked { now, leases, next_end }))
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        if let Some(item) = reclaim.items.first() {
            let part = self.partition_of(item.task.as_str());
            let taken = self.parts[part].reclaim(reclaim).await;
            return taken.map_err(|error| self.of_part(part, error));
        }
        let answers = self.all(self.each(|part| part.reclaim(reclaim))).await?;
        let taken = self.led("reclaim", answers)?;
        Ok(taken.map_or(Led::Deposed, |taken| Led::Done(taken.into_iter().sum())))
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        let answers = self.soon(self.each(|part| part.maintain(maintain))).await?;
        let Some(done) = self.led("maintain", answers)? else { return Ok(Led::Deposed) };
        Ok(Led::Done(done.into_iter().fold(Maintained::default(), |sum, some| Maintained {
            expired: sum.expired + some.expired,
            pruned: sum.pruned + some.pruned,
            // A node beats in each partition.
            forgotten: sum.forgotten.max(some.forgotten),
            repaired: sum.repaired + some.repaired,
            more: sum.more | some.more,
        })))
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        let calls = self.shares(&declare.what).into_iter().map(|(part, what)| {
            let some = Declare { mandate: declare.mandate.clone(), what };
            (part, async move { self.parts[part].declare(&some).await })
        });
        let answers = self.all(calls.collect()).await?;
        let Some((part, _)) = answers.iter().find(|(_, answer)| *answer == Led::Deposed) else {
            return Ok(Led::Done(()));
        };
        // Another one may not know the term yet; the one that elects does.
        let what = Declaration::Remove(Vec::new());
        let asked = Declare { mandate: declare.mandate.clone(), what };
        match self.parts[0].declare(&asked).await.map_err(|error| self.of_part(0, error))? {
            Led::Deposed => Ok(Led::Deposed),
            Led::Done(()) => {
                let source = "it has not heard of the leader's term".into();
                Err(self.of_part(*part, Error::Unavailable { method: "declare", source }))
            }
        }
    }

    async fn cluster(&self) -> Result<Cluster> {
        let mut answers = self.soon(self.each(Leadership::cluster)).await?;
        let (mut nodes, mut workers) = (BTreeMap::new(), BTreeMap::new());
        for (_, some) in &mut answers {
            for view in std::mem::take(&mut some.nodes) {
                match view.kind {
                    HolderKind::Node => newest(&mut nodes, view),
                    HolderKind::Remote => add_up(&mut workers, view),
                }
            }
        }
        let (_, first) = answers.swap_remove(0);
        let mut views: Vec<_> = nodes.into_values().chain(workers.into_values()).collect();
        views.sort_by(|a, b| (&a.node, &a.process).cmp(&(&b.node, &b.process)));
        Ok(Cluster { nodes: views, ..first })
    }
}

impl ClusterStore {
    /// Lets all other partitions know the term of a caller who leads (L1). Answers a later term that
    /// one of them knows.
    ///
    /// One that is away does not do what the leader asks until it has heard of the term.
    async fn raise(&self, campaign: &Campaign, leading: &Leading) -> Option<Term> {
        let leader = leading.leader.as_ref().filter(|leader| leader.process == campaign.process)?;
        let calls = (1..self.count())
            .map(|part| (part, async move { self.parts[part].raise(campaign, leader.term).await }));
        let answers = self.soon(calls.collect()).await.ok()?;
        answers.into_iter().filter_map(|(_, later)| later).max()
    }

    /// What of a declaration each partition is told.
    fn shares(&self, what: &Declaration) -> Vec<(usize, Declaration)> {
        match what {
            Declaration::Add(add) => {
                let places = self.split(add.tasks.iter().map(|task| task.id.as_str()));
                places
                    .into_iter()
                    .map(|(part, places)| {
                        let tasks = places.iter().map(|at| add.tasks[*at].clone()).collect();
                        (part, Declaration::Add(Add { tasks, ..add.clone() }))
                    })
                    .collect()
            }
            Declaration::Remove(ids) => {
                let places = self.split(ids.iter().map(TaskId::as_str));
                places
                    .into_iter()
                    .map(|(part, places)| {
                        let some = places.iter().map(|at| ids[*at].clone()).collect();
                        (part, Declaration::Remove(some))
                    })
                    .collect()
            }
        }
    }

    /// What the partitions did that let the leader do it; `None` if the one that elects did not.
    /// Another one may not know the term yet, and nothing happened there.
    ///
    /// # Errors
    ///
    /// If the one that elects gave no answer.
    fn led<T>(
        &self,
        method: &'static str,
        answers: Vec<(usize, Led<T>)>,
    ) -> Result<Option<Vec<T>>> {
        match answers.first() {
            Some((0, Led::Deposed)) => return Ok(None),
            Some((0, Led::Done(_))) => {}
            _ => {
                let source = "no answer came".into();
                return Err(self.of_part(0, Error::Unavailable { method, source }));
            }
        }
        let done = answers.into_iter().filter_map(|(_, answer)| match answer {
            Led::Done(done) => Some(done),
            Led::Deposed => None,
        });
        Ok(Some(done.collect()))
    }
}

/// The first leases of a partition in the order of their ends.
async fn leases_upto(part: &RedisStore, look: &Look, upto: usize) -> Result<Led<Looked>> {
    let mut leases = Vec::new();
    loop {
        let scope = Scope::All { skip: leases.len() };
        let page = part.leases(&Look { mandate: look.mandate.clone(), scope }).await?;
        let Led::Done(page) = page else { return Ok(Led::Deposed) };
        let is_last = page.leases.len() < BATCH_MAX;
        leases.extend(page.leases);
        if is_last || leases.len() >= upto {
            return Ok(Led::Done(Looked { now: page.now, leases, next_end: page.next_end }));
        }
    }
}

/// Keeps the latest word of each node.
fn newest(nodes: &mut BTreeMap<String, NodeView>, view: NodeView) {
    let name = view.node.as_str().to_owned();
    match nodes.get_mut(&name) {
        Some(known) if known.beat_at >= view.beat_at => {}
        Some(known) => *known = view,
        None => drop(nodes.insert(name, view)),
    }
}

/// Counts what a remote worker holds in all partitions.
fn add_up(workers: &mut BTreeMap<(String, ProcessId), NodeView>, view: NodeView) {
    let key = (view.node.as_str().to_owned(), view.process.clone());
    match workers.get_mut(&key) {
        Some(known) => {
            known.running += view.running;
            known.beat_at = known.beat_at.max(view.beat_at);
        }
        None => drop(workers.insert(key, view)),
    }
}

//! Who leads, and what only the leader does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::lease::Term;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::BARRED_FOR;
use crate::store::BATCH_MAX;
use crate::store::Campaign;
use crate::store::Cluster;
use crate::store::Declaration;
use crate::store::Declare;
use crate::store::ENDED_CLAIM_KEPT;
use crate::store::HolderKind;
use crate::store::Leader;
use crate::store::Leading;
use crate::store::LeaseView;
use crate::store::Led;
use crate::store::Look;
use crate::store::Looked;
use crate::store::Maintain;
use crate::store::Maintained;
use crate::store::Mandate;
use crate::store::NODE_FORGOTTEN_AFTER;
use crate::store::NodeView;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Scope;

use super::ack::HandedBack;
use super::state::Held;
use super::state::Line;
use super::state::Run;
use super::state::State;

/// The leader's place.
#[derive(Clone, Debug, Default)]
pub(super) struct Chair {
    /// Who led last; the term may have ended.
    last: Option<Leader>,
    /// Who may not stand, until when.
    barred: Option<(ProcessId, Timestamp)>,
}

impl Chair {
    /// Who leads now.
    pub(super) fn leader(&self, now: Timestamp) -> Option<Leader> {
        self.last.clone().filter(|leader| leader.until > now)
    }

    /// Whether the mandate is that of the present term (L1).
    fn admits(&self, mandate: &Mandate, now: Timestamp) -> bool {
        self.leader(now)
            .is_some_and(|leader| leader.process == mandate.process && leader.term == mandate.term)
    }

    /// The next term; like fences, terms are never below the clock.
    fn next_term(&self, now: Timestamp) -> Term {
        let floor = u64::try_from(now.as_us()).unwrap_or(0);
        Term(self.last.as_ref().map_or(floor, |last| floor.max(last.term.0 + 1)))
    }
}

impl State {
    pub(super) fn campaign(&mut self, campaign: &Campaign, now: Timestamp) -> Leading {
        let is_barred = |(process, until): &(ProcessId, Timestamp)| {
            *process == campaign.process && *until > now
        };
        let term = match self.chair.leader(now) {
            Some(leader) if leader.process == campaign.process => Some(leader.term),
            Some(_) => None,
            None if self.chair.barred.as_ref().is_some_and(is_barred) => None,
            None => Some(self.chair.next_term(now)),
        };
        if let Some(term) = term {
            let (node, process) = (campaign.node.clone(), campaign.process.clone());
            let until = now.plus(campaign.ttl);
            self.chair.last = Some(Leader { node, process, term, until });
        }
        Leading { now, leader: self.chair.leader(now) }
    }

    pub(super) fn resign(&mut self, resign: &Resign, now: Timestamp) -> Option<Leader> {
        let leader = self.chair.leader(now)?;
        match &resign.process {
            Some(process) if *process != leader.process => return None,
            Some(_) => {}
            None => self.chair.barred = Some((leader.process.clone(), now.plus(BARRED_FOR))),
        }
        self.chair.last = Some(Leader { until: Timestamp::EPOCH, ..leader.clone() });
        Some(leader)
    }

    pub(super) fn leases(&mut self, look: &Look, now: Timestamp) -> Led<Looked> {
        if !self.chair.admits(&look.mandate, now) {
            return Led::Deposed;
        }
        let mut by_end: Vec<_> = self.leases.iter().collect();
        by_end.sort_by_key(|(claim, held)| (held.expires_at, *claim));
        let next_end = match look.scope {
            Scope::Claims(_) => None,
            _ => by_end.iter().map(|(_, held)| held.expires_at).find(|end| *end > now),
        };
        let leases = match &look.scope {
            Scope::Expired => {
                let ended = by_end.into_iter().filter(|(_, held)| held.expires_at <= now);
                ended.take(BATCH_MAX).map(|lease| self.lease_view(lease)).collect()
            }
            Scope::All { skip } => {
                let all = by_end.into_iter().skip(*skip);
                all.take(BATCH_MAX).map(|lease| self.lease_view(lease)).collect()
            }
            Scope::Claims(claims) => {
                let known = claims.iter().filter_map(|claim| self.leases.get_key_value(claim));
                known.map(|lease| self.lease_view_with_tasks(lease)).collect()
            }
        };
        Led::Done(Looked { now, leases, next_end })
    }

    fn lease_view(&self, (claim, held): (&ClaimId, &Held)) -> LeaseView {
        LeaseView {
            claim: claim.clone(),
            node: held.holder.node.clone(),
            process: held.holder.process.clone(),
            kind: held.holder.kind,
            ttl: held.ttl,
            grace: held.grace,
            expires_at: held.expires_at,
            crashed: self.seems_dead(held),
            tasks: Vec::new(),
        }
    }

    fn lease_view_with_tasks(&self, lease: (&ClaimId, &Held)) -> LeaseView {
        let runs = lease.1.runs.iter().filter(|(_, run)| **run == Run::Present);
        let entries = runs.filter_map(|(id, _)| self.tasks.get(id));
        let tasks = entries.map(|entry| self.view(entry)).collect();
        LeaseView { tasks, ..self.lease_view(lease) }
    }

    /// Whether the holder of a lease seems dead. A process that has beaten after the lease was last
    /// prolonged lives, and did not know of the claim.
    fn seems_dead(&self, held: &Held) -> bool {
        let has_beaten = self.nodes.get(&held.holder.node).is_some_and(|node| {
            node.process == held.holder.process && node.beat_at > held.renewed_at
        });
        held.holder.kind == HolderKind::Remote || !has_beaten
    }

    pub(super) fn reclaim(&mut self, reclaim: &Reclaim, now: Timestamp) -> Led<u64> {
        if !self.chair.admits(&reclaim.mandate, now) {
            return Led::Deposed;
        }
        let claim = &reclaim.claim;
        let superseded: Vec<TaskId> = match self.leases.get_mut(claim) {
            Some(held) if held.expires_at == reclaim.expires_at => {
                let superseded = held.runs.extract_if(.., |_, run| *run == Run::Superseded);
                superseded.map(|(id, _)| id).collect()
            }
            _ => return Led::Done(0),
        };
        for id in superseded {
            self.let_go(&id);
        }
        let mut taken = 0;
        for item in &reclaim.items {
            let (task, fence, verdict) = (&item.task, item.fence, &item.verdict);
            taken += u64::from(self.hand_back(&HandedBack { claim, task, fence, verdict }, now));
        }
        self.close_if_empty(claim, now);
        Led::Done(taken)
    }

    pub(super) fn maintain(&mut self, maintain: &Maintain, now: Timestamp) -> Led<Maintained> {
        if !self.chair.admits(&maintain.mandate, now) {
            return Led::Deposed;
        }
        let limit = maintain.limit;
        let mut done = Maintained::default();
        for id in until(&self.expiring, now, limit, &mut done) {
            if let Some(entry) = self.take(&id) {
                self.end(entry, TaskState::Expired, now);
                done.expired += 1;
            }
        }
        let states: Vec<TaskState> = self.ended.keys().copied().collect();
        for state in states {
            let Some(line) = self.ended.get(&state) else { continue };
            for id in until(line, now, limit, &mut done) {
                self.take(&id);
                done.pruned += 1;
            }
        }
        self.forget_nodes(limit, now, &mut done);
        let forgotten_before = now.minus(ENDED_CLAIM_KEPT);
        self.ended_claims.retain(|_, ended_at| *ended_at > forgotten_before);
        Led::Done(done)
    }

    pub(super) fn declare(&mut self, declare: &Declare, now: Timestamp) -> Led<()> {
        if !self.chair.admits(&declare.mandate, now) {
            return Led::Deposed;
        }
        match &declare.what {
            Declaration::Add(add) => drop(self.add(add, now)),
            Declaration::Remove(ids) => drop(self.change(&Declaration::removal(ids), now)),
        }
        Led::Done(())
    }

    /// Forgets nodes that fell silent, first those that did so first.
    fn forget_nodes(&mut self, limit: usize, now: Timestamp, done: &mut Maintained) {
        let silent_since = now.minus(NODE_FORGOTTEN_AFTER);
        let silent = self.nodes.values().filter(|node| node.beat_at <= silent_since);
        let mut silent: Vec<(Timestamp, NodeName, ProcessId)> =
            silent.map(|node| (node.beat_at, node.node.clone(), node.process.clone())).collect();
        silent.sort();
        silent.truncate(limit);
        for (_, node, process) in &silent {
            self.hinting.unwait(process);
            self.nodes.remove(node);
            done.forgotten += 1;
        }
        done.more |= silent.len() == limit;
        let here: BTreeSet<&ProcessId> = self.nodes.values().map(|node| &node.process).collect();
        self.draining.retain(|process| here.contains(process));
    }

    pub(super) fn drain(&mut self, node: &NodeName) -> bool {
        let Some(node) = self.nodes.get(node) else { return false };
        self.draining.insert(node.process.clone());
        true
    }

    pub(super) fn cluster(&self, now: Timestamp) -> Cluster {
        let mut workers: BTreeMap<(&NodeName, &ProcessId), NodeView> = BTreeMap::new();
        for held in self.leases.values().filter(|held| held.holder.kind == HolderKind::Remote) {
            let key = (&held.holder.node, &held.holder.process);
            let worker = workers.entry(key).or_insert_with(|| {
                NodeView::remote(key.0.clone(), key.1.clone(), 0, held.renewed_at)
            });
            let count = u64::try_from(held.runs.len()).unwrap_or(u64::MAX);
            worker.running += count;
            worker.concurrency += count;
            worker.beat_at = worker.beat_at.max(held.renewed_at);
        }
        let mut nodes: Vec<NodeView> = self.nodes.values().cloned().collect();
        nodes.extend(workers.into_values());
        nodes.sort_by(|a, b| (&a.node, &a.process).cmp(&(&b.node, &b.process)));
        Cluster { now, nodes, leader: self.chair.leader(now) }
    }
}

/// The first `limit` tasks of a line whose moment has come; notes when there may be more.
fn until(line: &Line, now: Timestamp, limit: usize, done: &mut Maintained) -> Vec<TaskId> {
    let come = line.iter().take_while(|(at, _)| *at <= now).take(limit);
    let ids: Vec<TaskId> = come.map(|(_, id)| id.clone()).collect();
    done.more |= ids.len() == limit;
    ids
}

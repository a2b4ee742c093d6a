//! The leader's side, and what shows who is there.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use redis::FromRedisValue;
use redis::Value;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::lease::Term;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::BARRED_FOR;
use crate::store::Campaign;
use crate::store::Cluster;
use crate::store::Declaration;
use crate::store::Declare;
use crate::store::ENDED_CLAIM_KEPT;
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
use crate::store::Mandate;
use crate::store::NODE_FORGOTTEN_AFTER;
use crate::store::NodeView;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Result;
use crate::store::Scope;
use crate::store::told::Told;

use super::RedisStore;
use super::add;
use super::failure::read;
use super::record::Row;
use super::script;
use super::script::Script;
use super::verdict;

/// Claim, node, process, kind, length, grace, end, whether its holder seems dead, tasks.
type LeaseReply = (String, String, String, String, u64, u64, i64, bool, Vec<Row<'static>>);

#[async_trait]
impl Leadership for RedisStore {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.campaign_above(campaign, Term(0)).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        let mut call = self.call(&script::RESIGN);
        call.arg(resign.process.as_ref().map_or("", |process| process.as_str()));
        call.arg(as_us(BARRED_FOR));
        let leader: Vec<String> = self.run("resign", &script::RESIGN, call).await?;
        Ok(leader_of(&leader))
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        let mut call = self.mandated(&script::LEASES, &look.mandate);
        match &look.scope {
            Scope::Expired => call.arg("expired"),
            Scope::All { skip } => call.arg("all").arg(*skip),
            Scope::Claims(claims) => {
                call.arg("claims").arg(claims.iter().map(ClaimId::as_str).collect::<Vec<_>>())
            }
        };
        let answer: Value = self.run("leases", &script::LEASES, call).await?;
        let looked: Led<(i64, String, Vec<LeaseReply>)> = led("leases", answer)?;
        let Led::Done((now_us, next_end, replies)) = looked else { return Ok(Led::Deposed) };
        let mut leases = Vec::with_capacity(replies.len());
        for lease in replies {
            let claim = lease.0.clone();
            let (view, damaged) = lease_view(lease);
            if !damaged.is_empty() {
                self.set_aside("leases", &claim, &damaged).await?;
            }
            leases.extend(view);
        }
        let (now, next_end) = (Timestamp::from_us(now_us), next_end.parse().ok());
        Ok(Led::Done(Looked { now, leases, next_end: next_end.map(Timestamp::from_us) }))
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        let mut call = self.mandated(&script::RECLAIM, &reclaim.mandate);
        call.arg(reclaim.claim.as_str())
            .arg(reclaim.expires_at.as_us())
            .arg(self.keep_cancelled_us());
        for item in &reclaim.items {
            call.arg(item.task.as_str()).arg(item.fence.0);
            verdict::push(&mut call, &item.verdict, &item.spec, &self.options);
        }
        let answer: Value = self.run("reclaim", &script::RECLAIM, call).await?;
        led("reclaim", answer)
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        let mut call = self.mandated(&script::MAINTAIN, &maintain.mandate);
        call.arg(maintain.limit)
            .arg(as_us(self.options.keep_expired))
            .arg(as_us(NODE_FORGOTTEN_AFTER))
            .arg(as_us(ENDED_CLAIM_KEPT));
        let answer: Value = self.run("maintain", &script::MAINTAIN, call).await?;
        let done: Led<(u64, u64, u64, u64, bool)> = led("maintain", answer)?;
        Ok(match done {
            Led::Deposed => Led::Deposed,
            Led::Done((expired, pruned, forgotten, repaired, more)) => {
                Led::Done(Maintained { expired, pruned, forgotten, repaired, more })
            }
        })
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        let script = match &declare.what {
            Declaration::Add(_) => &script::DECLARE_ADD,
            Declaration::Remove(_) => &script::DECLARE_CHANGE,
        };
        let mut call = self.mandated(script, &declare.mandate);
        match &declare.what {
            Declaration::Add(add) => {
                add::push(&mut call, add);
            }
            Declaration::Remove(ids) => self.push_change(&mut call, &Declaration::removal(ids)),
        }
        let answer: Value = self.run("declare", script, call).await?;
        let done: Led<Value> = led("declare", answer)?;
        Ok(if done == Led::Deposed { Led::Deposed } else { Led::Done(()) })
    }

    async fn cluster(&self) -> Result<Cluster> {
        let call = self.call(&script::CLUSTER);
        let (now, leader, nodes, workers): (i64, Vec<String>, Vec<String>, Vec<String>) =
            self.run("cluster", &script::CLUSTER, call).await?;
        let mut views: Vec<NodeView> = nodes.chunks_exact(3).filter_map(node_view).collect();
        views.extend(worker_views(&workers));
        views.sort_by(|a, b| (&a.node, &a.process).cmp(&(&b.node, &b.process)));
        Ok(Cluster { now: Timestamp::from_us(now), nodes: views, leader: leader_of(&leader) })
    }
}

impl RedisStore {
    /// Stands for leader; a new term is to be above `floor`, too.
    pub(super) async fn campaign_above(&self, campaign: &Campaign, floor: Term) -> Result<Leading> {
        let mut call = self.call(&script::CAMPAIGN);
        call.arg(campaign.node.as_str())
            .arg(campaign.process.as_str())
            .arg(as_us(campaign.ttl))
            .arg(floor.0);
        let (now, leader): (i64, Vec<String>) =
            self.run("campaign", &script::CAMPAIGN, call).await?;
        Ok(Leading { now: Timestamp::from_us(now), leader: leader_of(&leader) })
    }

    /// Notes a term that another partition gave (L1). Answers the later one if there is one here.
    pub(super) async fn raise(&self, campaign: &Campaign, term: Term) -> Result<Option<Term>> {
        let mut call = self.call(&script::RAISE);
        call.arg(campaign.node.as_str())
            .arg(campaign.process.as_str())
            .arg(term.0)
            .arg(as_us(campaign.ttl));
        let later: String = self.run("campaign", &script::RAISE, call).await?;
        Ok(later.parse().ok().map(Term))
    }

    /// A call of a script that only the leader may make.
    fn mandated(&self, script: &Script, mandate: &Mandate) -> redis::Cmd {
        let mut call = self.call(script);
        call.arg(mandate.process.as_str()).arg(mandate.term.0);
        call
    }
}

/// Reads what the prelude's `leader` answers: node, process, term, until; or nothing.
pub(super) fn leader_of(texts: &[String]) -> Option<Leader> {
    let [node, process, term, until] = texts else { return None };
    Some(Leader {
        node: NodeName::parse(node).ok()?,
        process: ProcessId::parse(process).ok()?,
        term: Term(term.parse().ok()?),
        until: Timestamp::from_us(until.parse().ok()?),
    })
}

fn led<T: FromRedisValue>(method: &'static str, answer: Value) -> Result<Led<T>> {
    if answer == Value::Int(-1) { Ok(Led::Deposed) } else { read(method, answer).map(Led::Done) }
}

/// A lease, and the ids of tasks in it whose records cannot be read.
fn lease_view(reply: LeaseReply) -> (Option<LeaseView>, Vec<String>) {
    let (claim, node, process, kind, ttl_us, grace_us, end_us, crashed, rows) = reply;
    let (mut tasks, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let id = row.id.clone();
        match row.read() {
            Ok(task) => tasks.push(task),
            Err(_) => damaged.push(id.into_owned()),
        }
    }
    let names = (ClaimId::parse(&claim), NodeName::parse(&node), ProcessId::parse(&process));
    let (Ok(claim), Ok(node), Ok(process)) = names else { return (None, damaged) };
    let view = LeaseView {
        claim,
        node,
        process,
        kind: if kind == "r" { HolderKind::Remote } else { HolderKind::Node },
        ttl: Duration::from_micros(ttl_us),
        grace: Duration::from_micros(grace_us),
        expires_at: Timestamp::from_us(end_us),
        crashed,
        tasks,
    };
    (Some(view), damaged)
}

fn node_view(texts: &[String]) -> Option<NodeView> {
    let (process, told) = texts[1].split_once('\t')?;
    let told: Told = serde_json::from_str(told).ok()?;
    let node = NodeName::parse(&texts[0]).ok()?;
    let beat_at = Timestamp::from_us(texts[2].parse().ok()?);
    Some(told.view(node, ProcessId::parse(process).ok()?, beat_at))
}

/// One view per remote worker, from one line per claim.
fn worker_views(texts: &[String]) -> Vec<NodeView> {
    let mut workers: BTreeMap<(&str, &str), (i64, u64)> = BTreeMap::new();
    for claim in texts.chunks_exact(4) {
        let (beat_us, running) = workers.entry((&claim[0], &claim[1])).or_default();
        *beat_us = (*beat_us).max(claim[2].parse().unwrap_or(0));
        *running += claim[3].parse().unwrap_or(0);
    }
    let views = workers.into_iter().filter_map(|((node, process), (beat_us, running))| {
        let (node, process) = (NodeName::parse(node).ok()?, ProcessId::parse(process).ok()?);
        Some(NodeView::remote(node, process, running, Timestamp::from_us(beat_us)))
    });
    views.collect()
}

//! Hands verdicts to the store.
//!
//! Verdicts gather while earlier ones are on their way, so an idle node adds no wait and a busy one
//! sends large batches. A batch is repeated, as it is, until the store answers, however long that
//! takes; the keeper renews its leases meanwhile. A store in several parts gets batches for each, so
//! that one which is away holds up none of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tracing::debug;

use crate::domain::id::Callback;
use crate::domain::state::Again;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::events::Event;
use crate::handlers::StopCause;
use crate::metrics::Ended;
use crate::metrics::Sender;
use crate::metrics::Tally;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::BATCH_MAX;
use crate::traces::End as SpanEnd;
use crate::traces::Span;

use super::core::Core;
use super::outage::Outage;
use super::run::Run;

/// Most verdicts that wait to be sent. When they are that many, runs that end hold their slots.
pub(super) const VERDICTS_WAITING_MAX: usize = 4 * BATCH_MAX;

/// Most batches that are on their way at once to one part of the store: while one is applied, the
/// next is read.
const ACKS_IN_FLIGHT_MAX: usize = 2;

/// A verdict on its way to the store.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) item: AckItem,
    pub(super) run: Arc<Run>,
    pub(super) ended: Ended,
    /// From the handler's start to its end, if it was called.
    pub(super) took: Option<Duration>,
    /// The span of this, if anybody takes spans.
    pub(super) ack: Option<Box<dyn Span>>,
}

/// How a run ended, and how long its handler took, if it was called.
type End = (Ended, Option<Duration>);

/// What may hold a verdict up: the part of the store that keeps the task, and whether that is held by
/// a transaction of its handler's, for whose end it waits.
type Hindrance = (usize, bool);

/// The loop that sends verdicts.
#[derive(Debug)]
pub(super) struct Acker {
    core: Arc<Core>,
    verdicts: mpsc::Receiver<Decided>,
    lines: BTreeMap<Hindrance, Line>,
}

/// Verdicts that the same may hold up. One that is held up holds up none of another line.
#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Decided>,
    in_flight: usize,
}

impl Acker {
    pub(super) fn new(core: Arc<Core>, verdicts: mpsc::Receiver<Decided>) -> Self {
        Self { core, verdicts, lines: BTreeMap::new() }
    }

    /// Sends verdicts until all senders are gone and all is answered.
    pub(super) async fn run(mut self) {
        let mut in_flight = FuturesUnordered::new();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut is_open = true;
        while is_open || !in_flight.is_empty() {
            let has_room = self.waiting() < VERDICTS_WAITING_MAX;
            tokio::select! {
                biased;
                Some(hindrance) = in_flight.next() => self.line(hindrance).in_flight -= 1,
                count = self.verdicts.recv_many(&mut batch, BATCH_MAX), if is_open && has_room => {
                    is_open = count > 0;
                    self.sort(&mut batch);
                }
            }
            for (hindrance, line) in &mut self.lines {
                while line.in_flight < ACKS_IN_FLIGHT_MAX && !line.waiting.is_empty() {
                    line.in_flight += 1;
                    in_flight.push(send_to(*hindrance, Arc::clone(&self.core), line.batch()));
                }
            }
        }
    }

    /// Lets each verdict wait in its line.
    fn sort(&mut self, batch: &mut Vec<Decided>) {
        for decided in batch.drain(..) {
            let part = self.core.store.part(decided.item.task.as_str());
            let may_be_held = decided.run.stopper.has_completed_in_transaction();
            self.line((part, may_be_held)).waiting.push(decided);
        }
    }

    fn line(&mut self, hindrance: Hindrance) -> &mut Line {
        self.lines.entry(hindrance).or_default()
    }

    fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }
}

impl Line {
    /// Takes the first verdicts that wait.
    fn batch(&mut self) -> Vec<Decided> {
        let rest = self.waiting.split_off(self.waiting.len().min(BATCH_MAX));
        std::mem::replace(&mut self.waiting, rest)
    }
}

/// Sends verdicts of a line, and answers of which.
async fn send_to(hindrance: Hindrance, core: Arc<Core>, batch: Vec<Decided>) -> Hindrance {
    send(core, batch).await;
    hindrance
}

async fn send(core: Arc<Core>, batch: Vec<Decided>) {
    let (mut items, mut runs) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    let mut ends = Vec::with_capacity(batch.len());
    let mut spans = Vec::new();
    for decided in batch {
        spans.extend(decided.ack.map(|span| (items.len(), span)));
        items.push(decided.item);
        runs.push(decided.run);
        ends.push((decided.ended, decided.took));
    }

    let mut outage = Outage::new("ack");
    let mut sender = Sender::Node;
    let acked = loop {
        match core.store.ack(&items).await {
            Ok(acked) => break acked,
            Err(error) => outage.wait(&core, &error).await,
        }
        sender = Sender::NodeAgain;
    };

    outage.over();
    debug_assert_eq!(acked.len(), items.len(), "a store answers each item");
    core.claims.acked(&runs);
    for (at, span) in spans {
        let outcome = if acked.get(at) == Some(&Acked::Done) { "done" } else { "stale" };
        span.end(SpanEnd { outcome, ..SpanEnd::default() });
    }
    count(&core, sender, &items, (&runs, &ends), &acked);
    debug!(count = items.len(), "verdicts were sent");
    if core.events.has_listeners() {
        tell(&core, &items, &runs, (&acked, &ends));
    }
}

/// Counts what the store made of a batch of outcomes.
fn count(
    core: &Core,
    sender: Sender,
    items: &[AckItem],
    (runs, ends): (&[Arc<Run>], &[End]),
    acked: &[Acked],
) {
    let mut tallies: Vec<(&Callback, Tally)> = Vec::new();
    let mut stale_count = 0;
    for (((item, run), (ended, took)), acked) in items.iter().zip(runs).zip(ends).zip(acked) {
        let callback = &item.spec.callback;
        let at = tallies.iter().position(|(known, _)| *known == callback).unwrap_or_else(|| {
            tallies.push((callback, Tally::default()));
            tallies.len() - 1
        });
        let tally = &mut tallies[at].1;
        if *acked == Acked::Done {
            tally.accept(*ended, &item.verdict);
        } else if let Some(verdict) = run.stopper.completed_in_transaction() {
            tally.accept(Ended::Completed, &verdict);
        } else {
            stale_count += 1;
            // Under a lease that is trusted its task was replaced or removed, and does not run again.
            let is_given_away = sender == Sender::Node
                && took.is_some()
                && run.stopper.cause() != Some(StopCause::Superseded)
                && !run.claim.is_trusted(core.clock.steady());
            if is_given_away {
                tally.suspect();
            }
        }
    }

    for (callback, tally) in tallies {
        core.runs_of(callback).add(&tally);
    }
    core.metrics.stale(sender, stale_count);
}

fn tell(core: &Core, items: &[AckItem], runs: &[Arc<Run>], ends: (&[Acked], &[End])) {
    for (((item, run), acked), (_, took)) in items.iter().zip(runs).zip(ends.0).zip(ends.1) {
        let name = run.name(&core.config.name);
        let ended = |verdict: &Verdict| {
            let (state, error) = told(verdict, name.attempt);
            let again = again(verdict);
            Event::Ended { run: name.clone(), state, again, error, took: took.unwrap_or_default() }
        };
        // If the transaction in which a run completed was committed, this word is refused; if it was
        // rolled back, the task is still leased and this word counts.
        let committed = run.stopper.completed_in_transaction();
        core.events.tell(match acked {
            Acked::Stale => match committed {
                Some(verdict) => ended(&verdict),
                None => Event::Stale { run: name },
            },
            Acked::Done => ended(&item.verdict),
        });
    }
}

fn again(verdict: &Verdict) -> Option<Again> {
    match verdict {
        Verdict::Again { why, .. } => Some(*why),
        Verdict::End { .. } => None,
    }
}

/// The state that a verdict leads to, and the error of this very attempt.
fn told(verdict: &Verdict, attempt: u32) -> (TaskState, Option<String>) {
    let (state, errors) = match verdict {
        Verdict::End { state, errors, .. } => (*state, errors),
        Verdict::Again { errors, .. } => (TaskState::Scheduled, errors),
    };
    let error = errors.last().filter(|error| error.attempt == attempt);
    (state, error.map(|error| error.message.clone()))
}

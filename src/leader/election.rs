//! Standing for leader, renewing the term, and giving it up.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tracing::Instrument;

use crate::domain::id::ProcessId;
use crate::domain::lease::TERM_RENEW_EVERY;
use crate::domain::lease::TERM_TRUSTED_FOR;
use crate::domain::lease::TERM_TTL;
use crate::domain::lease::Term;
use crate::leader::CAMPAIGN_EVERY;
use crate::leader::Candidate;
use crate::leader::RESIGN_PATIENCE;
use crate::leader::duty::Duties;
use crate::leader::trouble::Trouble;
use crate::store::Campaign;
use crate::store::Mandate;
use crate::store::Resign;
use crate::store::Result;

/// Why a spell of leadership is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The store says that the term is not ours any more.
    Deposed,
    /// It could not be renewed in time, or this process was frozen.
    Lapsed,
}

/// A candidate's way through terms.
#[derive(Debug)]
pub(super) struct Election {
    candidate: Candidate,
    /// Whether the store may hold this process for the leader.
    may_lead: bool,
    trouble: Trouble,
}

impl Election {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self { candidate, may_lead: false, trouble: Trouble::default() }
    }

    /// Stands, leads and stands again, for ever.
    ///
    /// # Cancel safety
    ///
    /// A bid that is dropped on its way may have been won; [`Election::resign`] gives it back.
    pub(super) async fn stand(&mut self) {
        loop {
            let tenure = self.win().await;
            let span = tracing::info_span!("leader.term", term = tenure.mandate.term.0);
            let over = self.lead(&tenure).instrument(span).await;
            self.may_lead = over == Over::Lapsed;
        }
    }

    /// Gives the term up if this process may hold it, so that the others hear of it at once.
    pub(super) async fn resign(&mut self) {
        if !std::mem::take(&mut self.may_lead) {
            return;
        }
        let candidate = &self.candidate;
        let resign = Resign { process: Some(candidate.process.clone()) };

        tokio::select! {
            biased;
            answer = candidate.store.resign(&resign) => match answer {
                Ok(ended) => tracing::debug!(led = ended.is_some(), "resigned"),
                Err(error) => self.trouble.tell("resign", &error),
            },
            () = candidate.clock.sleep(RESIGN_PATIENCE) => {}
        }
    }

    /// Waits until the place is free, and stands until it is won.
    async fn win(&mut self) -> Tenure {
        loop {
            self.candidate.seen.until_vacant(&self.candidate.process).await;
            self.end_what_stands_still().await;

            self.may_lead = true;
            match self.candidate.bid().await {
                Ok(Bid { term: Some(term), sent, .. }) => {
                    self.trouble.over();
                    return Tenure::new(self.candidate.process.clone(), term, sent);
                }
                Ok(_) => {
                    self.trouble.over();
                    self.may_lead = false;
                }
                Err(error) => self.trouble.tell("campaign", &error),
            }

            let spread = self.candidate.rng.random_range(0.8..1.2);
            self.candidate.clock.sleep(CAMPAIGN_EVERY.mul_f64(spread)).await;
        }
    }

    /// Ends a term that only the store holds for one that goes on. If the call fails the bid that
    /// follows is lost, and both come again.
    async fn end_what_stands_still(&mut self) {
        let candidate = &self.candidate;
        let Some(process) = candidate.seen.left_behind(&candidate.process) else { return };
        match candidate.store.resign(&Resign { process: Some(process) }).await {
            Ok(Some(old)) => {
                tracing::warn!(node = %old.node, "the leader is gone and its term went on; it is ended");
            }
            Ok(None) => {}
            Err(error) => self.trouble.tell("resign", &error),
        }
    }

    /// Does the duties while the term is renewed.
    async fn lead(&mut self, tenure: &Tenure) -> Over {
        let rng = StdRng::from_rng(&mut self.candidate.rng);
        let duties = Duties::new(&self.candidate, tenure, rng);
        tracing::info!("leads");

        let _shown = self.candidate.metrics.lead(tenure.mandate.term);
        let over = tokio::select! {
            biased;
            over = hold(&self.candidate, tenure, &mut self.trouble) => over,
            over = duties.run() => over,
            never = self.candidate.sample() => match never {},
        };
        tracing::info!(reason = ?over, "leads no more");
        over
    }
}

/// The answer to a bid.
#[derive(Debug)]
struct Bid {
    /// The term, if it is ours.
    term: Option<Term>,
    /// When the bid was sent, by the own steady clock.
    sent: Duration,
    /// How long the answer took.
    took: Duration,
}

impl Candidate {
    async fn bid(&self) -> Result<Bid> {
        let campaign =
            Campaign { node: self.node.clone(), process: self.process.clone(), ttl: TERM_TTL };
        let sent = self.clock.steady();
        let reply = self.store.campaign(&campaign).await?;
        let took = self.clock.steady().saturating_sub(sent);

        self.seen.note(sent, reply.now, reply.leader.as_ref());
        let own = reply.leader.filter(|leader| leader.process == self.process);
        Ok(Bid { term: own.map(|leader| leader.term), sent, took })
    }
}

/// Renews the term until it is over.
async fn hold(candidate: &Candidate, tenure: &Tenure, trouble: &mut Trouble) -> Over {
    let mut pause = TERM_RENEW_EVERY;
    loop {
        let left = tenure.left(candidate.clock.steady());
        candidate.clock.sleep(pause.min(left)).await;

        let left = tenure.left(candidate.clock.steady());
        if left.is_zero() {
            return Over::Lapsed;
        }
        let answer = tokio::select! {
            biased;
            answer = candidate.bid() => answer,
            () = candidate.clock.sleep(left) => return Over::Lapsed,
        };

        pause = match answer {
            Ok(bid) if bid.term == Some(tenure.mandate.term) => {
                trouble.over();
                tenure.renewed(bid.sent);
                tenure.note_delay(bid.took);
                TERM_RENEW_EVERY.saturating_sub(bid.took)
            }
            Ok(_) => return Over::Deposed,
            Err(error) => {
                trouble.tell("campaign", &error);
                tenure.note_delay(Duration::MAX);
                CAMPAIGN_EVERY
            }
        };
    }
}

/// One spell of leadership, and how long it may be trusted.
#[derive(Debug)]
pub(super) struct Tenure {
    /// Goes with each step, so that the store refuses it after a newer term (L1).
    pub(super) mandate: Mandate,
    /// In µs of the own steady clock.
    trusted_until_us: AtomicU64,
    /// The longest that a renewal took since the duties last asked, in µs.
    delay_us: AtomicU64,
}

impl Tenure {
    fn new(process: ProcessId, term: Term, sent: Duration) -> Self {
        let trusted_until_us = AtomicU64::new(as_us(sent + TERM_TRUSTED_FOR));
        Self { mandate: Mandate { process, term }, trusted_until_us, delay_us: AtomicU64::new(0) }
    }

    /// How long the term may still be trusted when the own clock shows `steady`.
    pub(super) fn left(&self, steady: Duration) -> Duration {
        let until = Duration::from_micros(self.trusted_until_us.load(Ordering::Relaxed));
        until.saturating_sub(steady)
    }

    /// The longest that a renewal took since this was last asked; the longest there is if one
    /// failed.
    pub(super) fn take_delay(&self) -> Duration {
        Duration::from_micros(self.delay_us.swap(0, Ordering::Relaxed))
    }

    fn renewed(&self, sent: Duration) {
        self.trusted_until_us.fetch_max(as_us(sent + TERM_TRUSTED_FOR), Ordering::Relaxed);
    }

    fn note_delay(&self, took: Duration) {
        self.delay_us.fetch_max(as_us(took), Ordering::Relaxed);
    }
}

fn as_us(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

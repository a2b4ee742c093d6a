//! The duties of a leader, one step at a time: what is due most urgently comes first.

use std::time::Duration;

use rand::rngs::StdRng;

use crate::leader::BATCH_PAUSE;
use crate::leader::Candidate;
use crate::leader::MAINTAIN_EVERY;
use crate::leader::election::Over;
use crate::leader::election::Tenure;
use crate::leader::looks::Looks;
use crate::leader::trouble::Trouble;
use crate::store::BATCH_MAX;
use crate::store::Led;
use crate::store::Maintain;
use crate::store::Maintained;
use crate::store::Result;

/// Does the duties of one term.
#[derive(Debug)]
pub(super) struct Duties<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) tenure: &'a Tenure,
    pub(super) rng: StdRng,
    /// Leases that have expired by the store's clock.
    pub(super) expired: Looks,
    /// All leases.
    pub(super) all: Looks,
    /// Where the present pass over all leases goes on.
    pub(super) surveyed: usize,
    pub(super) sweep_at: Duration,
    pub(super) survey_at: Duration,
    maintain_at: Duration,
    /// When schedules are looked at; `None` once they are as declared.
    pub(super) declare_at: Option<Duration>,
    trouble: Trouble,
}

impl<'a> Duties<'a> {
    /// All duties, due at once. Looks start anew with each term.
    pub(super) fn new(candidate: &'a Candidate, tenure: &'a Tenure, rng: StdRng) -> Self {
        let now = candidate.clock.steady();
        Self {
            candidate,
            tenure,
            rng,
            expired: Looks::default(),
            all: Looks::default(),
            surveyed: 0,
            sweep_at: now,
            survey_at: now,
            maintain_at: now,
            declare_at: candidate.declares.is_some().then_some(now),
            trouble: Trouble::default(),
        }
    }

    /// Does what is due until the term is over.
    pub(super) async fn run(mut self) -> Over {
        loop {
            if let Err(over) = self.step().await {
                return over;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits for what is due next and does it. Reclaim comes before all else.
    async fn step(&mut self) -> std::result::Result<(), Over> {
        let clock = &self.candidate.clock;
        let look_at = self.expired.next_ripe_at().map_or(self.sweep_at, |at| at.min(self.sweep_at));
        // The first page of a survey takes the place of a sweep.
        let survey_at = if self.surveyed > 0 { self.survey_at } else { Duration::MAX };
        let declare_at = self.declare_at.unwrap_or(Duration::MAX);
        let due_at = look_at.min(survey_at).min(self.maintain_at).min(declare_at);
        clock.sleep(due_at.saturating_sub(clock.steady())).await;

        let now = clock.steady();
        if look_at <= now {
            self.sweep().await
        } else if survey_at <= now {
            self.survey().await
        } else if declare_at <= now {
            self.declare().await
        } else {
            self.maintain().await
        }
    }

    /// One batch of housekeeping; the next follows soon if there is more to do.
    async fn maintain(&mut self) -> std::result::Result<(), Over> {
        let sent = self.begin()?;
        let maintain = Maintain { mandate: self.tenure.mandate.clone(), limit: BATCH_MAX };
        let answer = self.candidate.store.maintain(&maintain).await;
        let done = self.heed("maintain", sent, answer)?.unwrap_or_default();

        let pause = if done.more { BATCH_PAUSE } else { MAINTAIN_EVERY };
        self.maintain_at = self.candidate.clock.steady() + pause;
        tell(done);
        Ok(())
    }

    /// The moment before a call, unless the term may not be trusted any more (L1).
    pub(super) fn begin(&self) -> std::result::Result<Duration, Over> {
        let now = self.candidate.clock.steady();
        if self.tenure.left(now).is_zero() { Err(Over::Lapsed) } else { Ok(now) }
    }

    /// Takes the answer to a call that was `sent`, and what it means for the looks.
    ///
    /// `None` if there was none; the duty comes again at its time.
    pub(super) fn heed<T>(
        &mut self,
        what: &'static str,
        sent: Duration,
        answer: Result<Led<T>>,
    ) -> std::result::Result<Option<T>, Over> {
        let took = match &answer {
            Ok(_) => self.candidate.clock.steady().saturating_sub(sent),
            Err(_) => Duration::MAX,
        };
        let delay = took.max(self.tenure.take_delay());
        self.expired.note_delay(delay);
        self.all.note_delay(delay);

        match answer {
            Ok(Led::Done(value)) => {
                self.trouble.over();
                Ok(Some(value))
            }
            Ok(Led::Deposed) => Err(Over::Deposed),
            Err(error) => {
                self.trouble.tell(what, &error);
                Ok(None)
            }
        }
    }
}

fn tell(done: Maintained) {
    let Maintained { expired, pruned, forgotten, repaired, .. } = done;
    if repaired > 0 {
        tracing::warn!(repaired, "records and indexes did not agree and were repaired");
    }
    if expired + pruned + forgotten > 0 {
        tracing::debug!(expired, pruned, forgotten, "kept house");
    }
}

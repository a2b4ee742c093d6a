//! A claim takes from one partition: which one, and what is said of the others.
//!
//! Each claim and each look leaves a mark on the board: whether something is due there, and when the
//! next task will be. Claims go round among the partitions that have something due. A partition of
//! which nothing is known is looked at first, all such at once and without taking anything; and before
//! a claim says that nothing is due, each partition of which no hint would come is looked at, too.

use std::time::Duration;

use crate::domain::id::ClaimId;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Error;
use crate::store::HolderKind;
use crate::store::Queue;
use crate::store::Result;

use super::ClusterStore;
use super::asking;
use super::board;
use super::board::Guess;
use super::board::Place;
use super::board::Seen;

/// How long a claim may take in one partition before another one is tried: longer than replicas may.
const CLAIM_WITHIN: Duration = Duration::from_secs(2);

/// How long a look at partitions of which nothing is known may take while others are at hand.
const LOOK_WITHIN: Duration = Duration::from_millis(300);

/// One claim on its way.
struct Search<'a> {
    store: &'a ClusterStore,
    claim: &'a Claim,
    wish: u64,
    /// Which partitions were asked, in the order of their numbers.
    asked: Vec<bool>,
    /// Which answered, and what.
    last: Option<Claimed>,
    failed: Option<Error>,
    /// Whether a partition may have taken the claim without saying so.
    is_doubtful: bool,
    /// Whether one gave as many tasks as were asked for.
    is_full: bool,
}

/// Takes due tasks from one partition.
pub(super) async fn claim(store: &ClusterStore, claim: &Claim) -> Result<Claimed> {
    let mut search = Search {
        store,
        claim,
        wish: board::wish(claim),
        asked: vec![false; store.count()],
        last: None,
        failed: None,
        is_doubtful: false,
        is_full: false,
    };
    let place = match store.board.place(&claim.id) {
        None if claim.holder.kind == HolderKind::Remote => holder_of(store, &claim.id).await,
        place => place,
    };
    match place {
        Some(Place::Holds(part)) => {
            let claimed = search.take(part).await;
            let answered = claimed.or_else(|| search.last.take());
            return match answered {
                Some(claimed) => Ok(claimed),
                None => Err(search.error()),
            };
        }
        Some(Place::Doubt(part)) => {
            if let Some(claimed) = search.take(part).await {
                return Ok(search.finish(claimed).await);
            }
        }
        None => {}
    }
    search.go_round().await
}

/// The partition that knows a claim which another process may have made.
async fn holder_of(store: &ClusterStore, claim: &ClaimId) -> Option<Place> {
    let answers = store.soon(store.each(|part| part.keeps(claim))).await.ok()?;
    let (part, _) = answers.into_iter().find(|(_, keeps)| *keeps)?;
    Some(Place::Holds(part))
}

impl Search<'_> {
    /// Looks where nothing is known, and claims where something is due.
    async fn go_round(mut self) -> Result<Claimed> {
        let is_known = |guess| matches!(guess, Guess::Due | Guess::Quiet | Guess::WasQuiet);
        let guesses = self.guesses();
        let has_known = guesses.iter().any(|guess| is_known(*guess));
        self.look_if(&[Guess::Unknown], has_known).await;
        if let Some(claimed) = self.take_what_is_due().await {
            return Ok(self.finish(claimed).await);
        }
        // Somebody has to say what the time is.
        let unseen: &[Guess] = match self.last {
            Some(_) => &[Guess::WasQuiet],
            None => &[Guess::WasQuiet, Guess::Quiet],
        };
        self.look_if(unseen, false).await;
        match self.take_what_is_due().await {
            Some(claimed) => Ok(self.finish(claimed).await),
            None => self.nothing(),
        }
    }

    /// Claims from the partitions that have something due, in turn, until one gives something.
    async fn take_what_is_due(&mut self) -> Option<Claimed> {
        let guesses = self.guesses();
        for part in self.store.board.turn() {
            if guesses[part] == Guess::Due
                && let Some(claimed) = self.take(part).await
            {
                return Some(claimed);
            }
        }
        None
    }

    /// Claims from a partition. Answers what it gave if that is worth telling.
    async fn take(&mut self, part: usize) -> Option<Claimed> {
        self.asked[part] = true;
        let (store, claim) = (self.store, self.claim);
        let news = store.board.news(part);
        let call = async { store.parts[part].claim(claim).await };
        let answer = asking::within(CLAIM_WITHIN, vec![(part, call)]).await.pop();
        let Some((_, answer)) = answer else {
            store.parts[part].give_up();
            self.doubt(part, None);
            return None;
        };
        match answer {
            Ok(claimed) => {
                store.board.back(part);
                self.is_full = claimed.tasks.len() >= claim.limit;
                let waits = claim.wait && !self.is_full;
                store.board.note(self.wish, part, news, Seen { claimed: &claimed, waits });
                if !claimed.tasks.is_empty() {
                    store.board.went(&claim.id, Place::Holds(part));
                }
                let gives = !claimed.tasks.is_empty() || claimed.isolate || claimed.more;
                if gives {
                    return Some(claimed);
                }
                self.heard(claimed);
                None
            }
            Err(error) => {
                self.doubt(part, Some(error));
                None
            }
        }
    }

    /// Notes that a partition may have taken the claim or not.
    fn doubt(&mut self, part: usize, error: Option<Error>) {
        self.store.board.away(part);
        self.store.board.went(&self.claim.id, Place::Doubt(part));
        self.is_doubtful = true;
        self.fail(part, error);
    }

    fn fail(&mut self, part: usize, error: Option<Error>) {
        if self.failed.is_none() {
            let late = || Error::Unavailable { method: "claim", source: "no answer came".into() };
            self.failed = Some(self.store.of_part(part, error.unwrap_or_else(late)));
        }
    }

    /// Looks at the partitions of which one of these is thought and that were not asked yet.
    async fn look_if(&mut self, thought: &[Guess], is_brief: bool) {
        let guesses = self.guesses();
        let wait = self.claim.wait && !self.is_full;
        let some = Claim { wait, ..self.claim.clone() };
        let (store, some) = (self.store, &some);
        let parts = (0..store.count()).filter(|part| !self.asked[*part]);
        let parts: Vec<_> = parts.filter(|part| thought.contains(&guesses[*part])).collect();
        let news: Vec<_> = parts.iter().map(|part| store.board.news(*part)).collect();
        let calls = parts.iter().map(|part| (*part, async { store.parts[*part].look(some).await }));
        let calls: Vec<_> = calls.collect();
        let answers = if is_brief {
            asking::within(LOOK_WITHIN, calls).await
        } else {
            asking::soon(calls, LOOK_WITHIN).await
        };
        for (part, news) in parts.into_iter().zip(news) {
            self.asked[part] = true;
            match answers.iter().find(|(answered, _)| *answered == part) {
                Some((_, Ok(claimed))) => {
                    store.board.back(part);
                    store.board.note(self.wish, part, news, Seen { claimed, waits: wait });
                    self.heard(claimed.clone());
                }
                Some((_, Err(_))) => store.board.away(part),
                None => {
                    store.parts[part].give_up();
                    store.board.away(part);
                }
            }
        }
        for (part, answer) in answers {
            if let Err(error) = answer {
                self.fail(part, Some(error));
            }
        }
    }

    fn heard(&mut self, mut claimed: Claimed) {
        claimed.tasks.clear();
        claimed.isolate = false;
        if let Some(last) = &mut self.last {
            last.corrupt.append(&mut claimed.corrupt);
        } else {
            self.last = Some(claimed);
        }
    }

    fn guesses(&self) -> Vec<Guess> {
        self.store.board.guess(self.wish, self.claim.ahead)
    }

    /// Puts what is known of the other partitions to what one gave.
    async fn finish(mut self, mut claimed: Claimed) -> Claimed {
        if !claimed.more && !self.guesses().contains(&Guess::Due) {
            self.look_if(&[Guess::Unknown, Guess::WasQuiet], true).await;
        }
        if let Some(last) = self.last.take() {
            claimed.corrupt.extend(last.corrupt);
        }
        claimed.more |= self.guesses().contains(&Guess::Due);
        let next = [claimed.next_run_at, self.store.board.next_run_at(self.wish)];
        claimed.next_run_at = next.into_iter().flatten().min();
        claimed
    }

    /// The answer if no partition gave anything.
    fn nothing(self) -> Result<Claimed> {
        if self.is_doubtful || self.last.is_none() {
            return Err(self.error());
        }
        let next_run_at = self.store.board.next_run_at(self.wish);
        match self.last {
            Some(last) => Ok(Claimed { more: false, next_run_at, ..last }),
            None => Err(self.error()),
        }
    }

    fn error(self) -> Error {
        self.failed.unwrap_or_else(|| Error::Unavailable {
            method: "claim",
            source: "all partitions are away".into(),
        })
    }
}

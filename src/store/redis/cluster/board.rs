//! What a process knows of the partitions: where something may be due, which are away, and which
//! claim took from which.
//!
//! Nothing here decides what happens to a task. What is forgotten or wrong costs a look more.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::id::ClaimId;
use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
use crate::store::Claim;
use crate::store::Claimed;

/// How long what was seen of a partition is good for choosing one. Hints may be lost.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// How long a partition that gave no answer is left out of claims, unless another call reaches it.
const AWAY_FOR: Duration = Duration::from_secs(2);

/// Kinds of claims of which marks are kept.
const WISHES_MAX: usize = 256;

/// Claims of which the partition is remembered.
const CLAIMS_MAX: usize = 10_000;

/// Shared by all connections of a process to a cluster.
#[derive(Debug)]
pub(super) struct Board {
    clock: Arc<dyn Clock>,
    parts: Vec<Part>,
    /// Which partition is tried first, so that each gets its turn.
    turn: AtomicUsize,
    marks: Mutex<HashMap<u64, Vec<Option<Mark>>>>,
    claims: Mutex<Claims>,
}

#[derive(Debug, Default)]
struct Part {
    /// Counts hints.
    news: AtomicU64,
    /// Until when it is away: a steady count, µs.
    away_until_us: AtomicU64,
}

/// What a claim saw of a partition.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Duration,
    news: u64,
    now: Timestamp,
    next_run_at: Option<Timestamp>,
    more: bool,
    /// Whether the process waits for hints there.
    waits: bool,
}

/// What is thought of a partition now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// A claim would find something.
    Due,
    /// It would not, and a hint will tell when that changes.
    Quiet,
    /// It would not have a moment ago, and no hint comes.
    WasQuiet,
    /// Nothing is known.
    Unknown,
    /// It gives no answers.
    Away,
}

/// Where a claim went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It holds tasks of this partition.
    Holds(usize),
    /// It was sent there, and gave no answer.
    Doubt(usize),
}

#[derive(Debug, Default)]
struct Claims {
    places: HashMap<ClaimId, Place>,
    order: VecDeque<ClaimId>,
}

/// Claims that see the same share their marks.
pub(super) fn wish(claim: &Claim) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut queues: Vec<_> = claim.queues.iter().map(QueueName::as_str).collect();
    queues.sort_unstable();
    queues.hash(&mut hasher);
    claim.holder.process.as_str().hash(&mut hasher);
    match &claim.callbacks {
        Some(callbacks) => callbacks.iter().for_each(|one| one.as_str().hash(&mut hasher)),
        None => 0_u8.hash(&mut hasher),
    }
    let room = claim.suspects;
    (room.two > 0, room.three > 0, room.idle).hash(&mut hasher);
    hasher.finish()
}

impl Board {
    pub(super) fn new(parts: usize, clock: Arc<dyn Clock>) -> Self {
        let parts = std::iter::repeat_with(Part::default).take(parts).collect();
        let (marks, claims) = (Mutex::default(), Mutex::default());
        Self { clock, parts, turn: AtomicUsize::new(0), marks, claims }
    }

    /// How many partitions there are.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// All partitions, from the one whose turn it is.
    pub(super) fn turn(&self) -> impl Iterator<Item = usize> {
        let (first, count) = (self.turn.fetch_add(1, Relaxed), self.parts.len());
        (0..count).map(move |n| (first + n) % count)
    }

    /// Notes that something became claimable in a partition.
    pub(super) fn hint(&self, part: usize) {
        self.parts[part].news.fetch_add(1, Relaxed);
    }

    /// How many hints came from a partition, to be read before it is looked at.
    pub(super) fn news(&self, part: usize) -> u64 {
        self.parts[part].news.load(Relaxed)
    }

    /// Notes that a partition answered.
    pub(super) fn back(&self, part: usize) {
        self.parts[part].away_until_us.store(0, Relaxed);
    }

    /// Notes that a partition gave no answer.
    pub(super) fn away(&self, part: usize) {
        let until = self.clock.steady() + AWAY_FOR;
        self.parts[part].away_until_us.store(whole_us(until), Relaxed);
    }

    /// Notes what a claim or a look saw of a partition after so many hints.
    pub(super) fn note(&self, wish: u64, part: usize, news: u64, seen: Seen<'_>) {
        let Seen { claimed, waits } = seen;
        let mark = Mark {
            at: self.clock.steady(),
            news,
            now: claimed.now,
            next_run_at: claimed.next_run_at,
            more: claimed.more,
            waits,
        };
        let mut marks = locked(&self.marks);
        if marks.len() >= WISHES_MAX && !marks.contains_key(&wish) {
            marks.clear();
        }
        marks.entry(wish).or_insert_with(|| vec![None; self.parts.len()])[part] = Some(mark);
    }

    /// What a claim would find in each partition, ahead by so much.
    pub(super) fn guess(&self, wish: u64, ahead: Duration) -> Vec<Guess> {
        let steady = self.clock.steady();
        let marks = locked(&self.marks).get(&wish).cloned();
        let guess = |(number, part): (usize, &Part)| {
            if part.away_until_us.load(Relaxed) > whole_us(steady) {
                return Guess::Away;
            }
            let mark = marks.as_ref().and_then(|marks| marks[number]);
            let Some(mark) = mark else { return Guess::Unknown };
            let age = steady.saturating_sub(mark.at);
            let horizon = mark.now.plus(age + ahead);
            if mark.more
                || mark.news != part.news.load(Relaxed)
                || mark.next_run_at.is_some_and(|at| at <= horizon)
            {
                return Guess::Due;
            }
            if age >= FRESH_FOR {
                Guess::Unknown
            } else if mark.waits {
                Guess::Quiet
            } else {
                Guess::WasQuiet
            }
        };
        self.parts.iter().enumerate().map(guess).collect()
    }

    /// The earliest `run_at` of what was seen.
    pub(super) fn next_run_at(&self, wish: u64) -> Option<Timestamp> {
        let marks = locked(&self.marks);
        marks.get(&wish)?.iter().flatten().filter_map(|mark| mark.next_run_at).min()
    }

    /// Where a claim went, if that is remembered.
    pub(super) fn place(&self, claim: &ClaimId) -> Option<Place> {
        locked(&self.claims).places.get(claim).copied()
    }

    /// Notes where a claim went.
    pub(super) fn went(&self, claim: &ClaimId, place: Place) {
        let mut claims = locked(&self.claims);
        match (claims.places.get_mut(claim), place) {
            // What it holds it goes on holding while its partition does not answer.
            (Some(Place::Holds(_)), Place::Doubt(_)) => return,
            (Some(known), _) => {
                *known = place;
                return;
            }
            (None, _) => drop(claims.places.insert(claim.clone(), place)),
        }
        claims.order.push_back(claim.clone());
        if claims.order.len() > CLAIMS_MAX
            && let Some(oldest) = claims.order.pop_front()
        {
            claims.places.remove(&oldest);
        }
    }
}

/// What was seen of a partition, and whether the process waits for hints there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) claimed: &'a Claimed,
    pub(super) waits: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn whole_us(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn board() -> (Board, ManualClock) {
        let clock = ManualClock::at(Timestamp::EPOCH);
        (Board::new(2, Arc::new(clock.clone())), clock)
    }

    fn saw(board: &Board, part: usize, next_us: Option<i64>, waits: bool) {
        let next_run_at = next_us.map(Timestamp::from_us);
        let claimed = Claimed { next_run_at, ..Claimed::nothing(Timestamp::EPOCH) };
        board.note(7, part, board.news(part), Seen { claimed: &claimed, waits });
    }

    fn guess(board: &Board) -> Guess {
        board.guess(7, Duration::ZERO)[1]
    }

    #[test]
    fn what_was_seen_is_good_for_a_moment_and_until_a_hint() {
        let (board, clock) = board();
        assert_eq!(guess(&board), Guess::Unknown);
        saw(&board, 1, None, false);
        assert_eq!(guess(&board), Guess::WasQuiet);
        saw(&board, 1, None, true);
        assert_eq!(guess(&board), Guess::Quiet);
        board.hint(0);
        assert_eq!(guess(&board), Guess::Quiet, "that was for another one");
        board.hint(1);
        assert_eq!(guess(&board), Guess::Due);

        saw(&board, 1, Some(500_000), true);
        assert_eq!(guess(&board), Guess::Quiet);
        assert_eq!(board.guess(7, Duration::from_millis(500))[1], Guess::Due, "ahead of its time");
        clock.advance(Duration::from_millis(500));
        assert_eq!(guess(&board), Guess::Due);
        saw(&board, 1, None, true);
        clock.advance(FRESH_FOR);
        assert_eq!(guess(&board), Guess::Unknown);
        assert_eq!(board.guess(8, Duration::ZERO)[1], Guess::Unknown, "another wish");
    }

    #[test]
    fn a_partition_that_gives_no_answer_is_left_out_for_a_while() {
        let (board, clock) = board();
        saw(&board, 1, Some(0), true);
        board.away(1);
        assert_eq!(guess(&board), Guess::Away);
        board.back(1);
        assert_eq!(guess(&board), Guess::Due);
        board.away(1);
        clock.advance(AWAY_FOR);
        assert_eq!(guess(&board), Guess::Due);
    }

    #[test]
    fn a_claim_that_holds_tasks_is_never_in_doubt() {
        let (board, _) = board();
        let claim = ClaimId::parse("c").unwrap();
        assert_eq!(board.place(&claim), None);
        for (went, is) in [
            (Place::Doubt(0), Place::Doubt(0)),
            (Place::Holds(1), Place::Holds(1)),
            (Place::Doubt(0), Place::Holds(1)),
        ] {
            board.went(&claim, went);
            assert_eq!(board.place(&claim), Some(is));
        }

        for n in 0..CLAIMS_MAX {
            board.went(&ClaimId::parse(&format!("c{n}")).unwrap(), Place::Holds(0));
        }
        assert_eq!(board.place(&claim), None, "the oldest is forgotten");
    }
}

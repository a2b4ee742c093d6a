//! Where a task stands, as a text.
//!
//! | text | where |
//! |---|---|
//! | `l:QUEUE:PRIORITY:RANK:CALLBACK` | a lane; in the order of claiming, the ordinary lane without callback last |
//! | `h:QUEUE` | paused, or held while a run that it replaces has not let go |
//! | `r:CLAIM` | running |
//! | `e:STATE:QUEUE` | ended |
//! | `x` | set aside, because its record cannot be read |
//!
//! Queue names hold no colon.

use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::QueueName;
use crate::domain::state::TaskState;
use crate::domain::task::Priority;
use crate::store::entry::Entry;
use crate::store::entry::Lane;
use crate::store::entry::Place;
use crate::store::entry::Rank;

/// Where tasks stand whose records cannot be read.
pub(super) const ASIDE_FOR_DAMAGE: &str = "x";

/// All places of ended tasks.
pub(super) const ENDS: (&str, &str) = ("e:", "e;");

const RANKS: [Rank; 5] = [Rank::Alone, Rank::Three, Rank::Two, Rank::Parked, Rank::Ordinary];

/// The place of an entry, and the moment that counts there.
pub(super) fn of(entry: &Entry, is_held: bool) -> (String, i64) {
    let task = &entry.task;
    let run_at = task.run_at.as_us();
    match (entry.place(is_held), &entry.claim) {
        (Place::Lane(lane), _) => (of_lane(&lane), run_at),
        (Place::Running, Some(claim)) => (of_claim(claim), run_at),
        (Place::Aside | Place::Running, _) => (format!("h:{}", task.spec.queue), run_at),
        (Place::Ended(prune_at), _) => {
            (format!("e:{}:{}", task.state.as_str(), task.spec.queue), prune_at.as_us())
        }
    }
}

/// The place of the tasks that run under a claim.
pub(super) fn of_claim(claim: &ClaimId) -> String {
    format!("r:{claim}")
}

pub(super) fn of_lane(lane: &Lane) -> String {
    let Lane { queue, priority, rank, callback } = lane;
    let callback = callback.as_ref().map_or("", Callback::as_str);
    format!("l:{queue}:{}:{}:{callback}", *priority as u8, *rank as u8)
}

/// All lanes of a queue lie in this range, its end excluded.
pub(super) fn lanes_of(queue: &QueueName) -> (String, String) {
    (format!("l:{queue}:"), format!("l:{queue};"))
}

/// The lane of a place; `None` if it is none.
pub(super) fn lane(place: &str) -> Option<Lane> {
    let mut parts = place.strip_prefix("l:")?.splitn(4, ':');
    let queue = QueueName::parse(parts.next()?).ok()?;
    let priority: usize = parts.next()?.parse().ok()?;
    let rank: usize = parts.next()?.parse().ok()?;
    let callback = match parts.next()? {
        "" => None,
        text => Some(Callback::parse(text).ok()?),
    };
    let (priority, rank) = (*Priority::ALL.get(priority)?, *RANKS.get(rank)?);
    Some(Lane { queue, priority, rank, callback })
}

/// State and queue of a place of ended tasks.
pub(super) fn end(place: &str) -> Option<(TaskState, QueueName)> {
    let (state, queue) = place.strip_prefix("e:")?.split_once(':')?;
    Some((TaskState::parse(state)?, QueueName::parse(queue).ok()?))
}

/// Queue of a place of held tasks.
pub(super) fn held(place: &str) -> Option<QueueName> {
    QueueName::parse(place.strip_prefix("h:")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_lane_is_read_back_and_sorts_in_the_order_of_claiming() {
        let queue: QueueName = "mail".parse().unwrap();
        let callback = Callback::parse("a:b c").unwrap();
        let mut lanes = Vec::new();
        for priority in Priority::ALL {
            for rank in RANKS {
                let callback = (rank != Rank::Ordinary).then(|| callback.clone());
                lanes.push(Lane { queue: queue.clone(), priority, rank, callback });
            }
        }

        let texts: Vec<String> = lanes.iter().map(of_lane).collect();

        assert!(texts.is_sorted());
        assert!(lanes.is_sorted());
        let (from, to) = lanes_of(&queue);
        for (text, wanted) in texts.iter().zip(&lanes) {
            assert_eq!(lane(text).as_ref(), Some(wanted));
            assert!((from.as_str()..to.as_str()).contains(&text.as_str()));
        }
    }
}

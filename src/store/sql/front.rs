//! From where on a busy lane is looked at.
//!
//! MariaDB and MySQL keep the index entries of rows that moved on until they are purged, which
//! MariaDB does once a second, and whoever looks for the first task of a lane passes by all of them:
//! at 20,000 tasks a second, by as many. So a store remembers how far it has emptied its busy lanes,
//! their *fronts*, and looks from there on.
//!
//! A front makes a claim see less, and nothing that it would not see otherwise: it hides what comes to
//! stand before it, which is a task that was added with a moment of the past, that another node
//! handed back, or that somebody held when the front passed it by. So each range of lanes is looked
//! at from its beginning every [`LOOK_EVERY`], which is how late such a task is found as a rule, and
//! who finds nothing due behind a front is told to ask again by then. Who asks at an interval of its
//! own finds it at the first look after that. For as long, the order of claiming may suffer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;

/// A range with fronts is looked at from its beginning this often.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A front stays so far behind the present, so that what is added for now comes to stand behind it: an
/// add takes a while from its now to its commit.
const BEHIND: Duration = Duration::from_millis(100);

/// A lane is busy if so many of its tasks were taken within [`BUSY_FOR`].
const BUSY: usize = 64;

/// How long it is busy then, at least: as long as MariaDB needs to purge what was taken.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// The fronts of the busy lanes of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct Fronts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By their places.
    fronts: BTreeMap<String, Front>,
    /// How often fronts were moved back.
    moved_back: u64,
}

#[derive(Debug)]
struct Front {
    spot: Spot,
    /// When the lane was last looked at from its beginning.
    looked_at: Timestamp,
    /// How many tasks were taken since `since`, a stretch of [`BUSY_FOR`].
    taken: usize,
    since: Timestamp,
}

impl Front {
    fn is_busy(&self) -> bool {
        self.taken >= BUSY
    }

    /// Whether the lane need not be looked at from its beginning.
    fn is_fresh(&self, now: Timestamp) -> bool {
        is_within(self.looked_at, LOOK_EVERY, now)
    }
}

/// Where a lane is looked at from: behind this moment, and behind this id among those of the same
/// moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) due: Timestamp,
    pub(super) id: String,
}

impl Spot {
    pub(super) fn of(due: Timestamp, id: &TaskId) -> Self {
        Self { due, id: id.to_string() }
    }

    fn before(due: Timestamp) -> Self {
        Self { due, id: String::new() }
    }
}

/// The first task that stands in a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct First {
    pub(super) place: String,
    pub(super) spot: Spot,
}

/// From where on tasks of a lane are taken.
#[derive(Debug)]
pub(super) struct Begin {
    place: String,
    /// `None` means from the beginning.
    pub(super) spot: Option<Spot>,
    moved_back: u64,
}

/// The fronts of a range, from which it may be looked at.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) spots: BTreeMap<String, Spot>,
    /// When it must be looked at from its beginning again.
    pub(super) until: Timestamp,
}

impl Fronts {
    /// The fronts of busy lanes in a range; `None` if there is none, or the range is to be looked at
    /// from its beginning.
    pub(super) fn fresh(&self, from: &str, to: &str, now: Timestamp) -> Option<Fresh> {
        let state = self.lock();
        let mut spots = BTreeMap::new();
        let mut until = None;
        for (place, front) in state.fronts.range(from.to_owned()..to.to_owned()) {
            if !front.is_fresh(now) {
                return None;
            }
            if front.is_busy() {
                spots.insert(place.clone(), front.spot.clone());
            }
            until = until.into_iter().chain([front.looked_at.plus(LOOK_EVERY)]).min();
        }
        Some(Fresh { spots, until: until? }).filter(|fresh| !fresh.spots.is_empty())
    }

    /// From where on tasks of a lane may be taken now.
    pub(super) fn begin(&self, place: String, now: Timestamp) -> Begin {
        let state = self.lock();
        let is_used = |front: &&Front| front.is_busy() && front.is_fresh(now);
        let spot = state.fronts.get(&place).filter(is_used).map(|front| front.spot.clone());
        Begin { place, spot, moved_back: state.moved_back }
    }

    /// Notes that a range was looked at from its beginning, and where tasks were found.
    pub(super) fn looked(&self, from: &str, to: &str, found: &[First], now: Timestamp) {
        let mut state = self.lock();
        let State { fronts, moved_back } = &mut *state;
        fronts.retain(|place, front| {
            if !(from..to).contains(&place.as_str()) {
                return true;
            }
            front.looked_at = now;
            if is_within(front.since, BUSY_FOR, now) {
                return true;
            }
            let was_busy = front.is_busy();
            (front.taken, front.since) = (0, now);
            *moved_back += u64::from(!was_busy);
            was_busy
        });
        for First { place, spot } in found {
            if let Some(front) = fronts.get_mut(place)
                && *spot <= front.spot
            {
                front.spot = Spot::before(spot.due);
                *moved_back += 1;
            }
        }
    }

    /// Notes that so many tasks of a lane were taken, all up to `last`.
    ///
    /// The front stays where it is if some front was moved back since `begin`: what was found then may
    /// stand before `last`.
    pub(super) fn took(&self, begin: Begin, last: Spot, count: usize, now: Timestamp) {
        let spot = last.min(Spot::before(now.minus(BEHIND)));
        let mut state = self.lock();
        if state.moved_back != begin.moved_back {
            return;
        }
        let fresh = || Front { spot: spot.clone(), looked_at: now, taken: 0, since: now };
        let front = state.fronts.entry(begin.place).or_insert_with(fresh);
        front.taken += count;
        front.spot = spot;
    }

    /// Forgets all fronts, because what they passed by may not have been taken after all.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "SQLite has no fronts"))]
    pub(in crate::store) fn forget(&self) {
        let mut state = self.lock();
        state.fronts.clear();
        state.moved_back += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a length that began at some moment is not over; it is after a clock was set back.
fn is_within(began: Timestamp, length: Duration, now: Timestamp) -> bool {
    (began..began.plus(length)).contains(&now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: &str = "l:default:2:4:";

    fn at(ms: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_millis(ms))
    }

    fn spot(ms: u64) -> Spot {
        Spot { due: at(ms), id: "t".into() }
    }

    fn begin(fronts: &Fronts) -> Begin {
        fronts.begin(LANE.into(), at(1000))
    }

    /// Fronts of a lane that was emptied up to that moment.
    fn emptied_to(ms: u64) -> Fronts {
        let fronts = Fronts::default();
        fronts.took(begin(&fronts), spot(ms), BUSY, at(1000));
        assert_eq!(begin(&fronts).spot, Some(spot(ms)));
        fronts
    }

    #[test]
    fn who_began_before_a_front_was_moved_back_does_not_move_it_on() {
        let fronts = emptied_to(500);
        let slow = begin(&fronts);
        fronts.looked("l:", "l;", &[First { place: LANE.into(), spot: spot(200) }], at(1000));

        fronts.took(slow, spot(600), 1, at(1000));

        assert_eq!(begin(&fronts).spot, Some(Spot::before(at(200))));
    }

    #[test]
    fn a_look_that_finds_nothing_before_a_front_leaves_it_where_it_is() {
        let fronts = emptied_to(500);

        fronts.looked("l:", "l;", &[First { place: LANE.into(), spot: spot(501) }], at(1000));

        assert_eq!(begin(&fronts).spot, Some(spot(500)));
    }

    #[test]
    fn what_was_taken_in_a_step_that_failed_is_looked_for_from_the_beginning() {
        let fronts = emptied_to(500);
        let slow = begin(&fronts);

        fronts.forget();

        assert_eq!(begin(&fronts).spot, None);
        fronts.took(slow, spot(600), BUSY, at(1000));
        assert_eq!(begin(&fronts).spot, None);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_front_stale() {
        let fronts = emptied_to(500);

        assert_eq!(fronts.begin(LANE.into(), at(999)).spot, None);
        assert!(fronts.fresh("l:", "l;", at(999)).is_none());
        assert!(fronts.fresh("l:", "l;", at(1099)).is_some());
    }
}

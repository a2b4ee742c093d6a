//! Which lanes of queues have tasks, and from when on.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::domain::id::Callback;
use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
use crate::store::Claim;
use crate::store::entry::Lane;

use super::Answer;
use super::Columns;
use super::Statement;
use super::Tx;
use super::front::First;
use super::front::Fresh;
use super::front::Spot;
use super::place;
use super::row::Reader;
use super::row::unreadable;

static PLACE_NEXT: Statement = Statement::new(include_str!("statements/place_next.sql"));
static PLACE_FRONT: Statement = Statement::new(include_str!("statements/place_front.sql"));

/// The lanes that a claim may take from, in the order of claiming.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) found: Vec<Found>,
    /// By when it should be looked again, because tasks may stand before a front.
    pub(super) again_at: Option<Timestamp>,
}

/// A lane with tasks, and the moment from which its first one can be taken.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) lane: Lane,
    pub(super) first: Timestamp,
}

/// The lanes of queues that a claim may take from, from their fronts on where those are fresh.
///
/// Costs a round trip for each lane, and one for each queue; one alone where the only lane of a queue
/// has a front.
pub(super) async fn find<T: Tx>(tx: &mut T, claim: &Claim, queues: &[&QueueName]) -> Answer<Lanes> {
    let mut lanes = Lanes::default();
    for queue in queues {
        let (from, to) = place::lanes_of(queue);
        let (fronts, now) = (tx.fronts(), tx.now());
        let fresh = fronts.as_ref().and_then(|fronts| fronts.fresh(&from, &to, now));
        let firsts = if let Some(fresh) = fresh {
            lanes.again_at = lanes.again_at.into_iter().chain([fresh.until]).min();
            behind_fronts(tx, &fresh, &from, &to).await?
        } else {
            let firsts = places(tx, &from, &to).await?;
            if let Some(fronts) = fronts {
                fronts.looked(&from, &to, &firsts, now);
            }
            firsts
        };
        for First { place, spot } in firsts {
            let Some(lane) = place::lane(&place) else { continue };
            if wants(claim, lane.callback.as_ref()) {
                lanes.found.push(Found { lane, first: spot.due });
            }
        }
    }
    Ok(lanes)
}

/// Whether the claimer takes tasks of a callback; of an ordinary lane it cannot be told.
pub(super) fn wants(claim: &Claim, callback: Option<&Callback>) -> bool {
    match (&claim.callbacks, callback) {
        (Some(callbacks), Some(callback)) => callbacks.contains(callback),
        _ => true,
    }
}

/// The places of a range where tasks stand, with the first one in each. Costs a round
/// trip for each, and one more.
pub(super) async fn places<T: Tx>(tx: &mut T, from: &str, to: &str) -> Answer<Vec<First>> {
    let mut found: Vec<First> = Vec::new();
    loop {
        // No place is the beginning of its range itself.
        let before = found.last().map_or(from, |first| &first.place);
        let Some(next) = next(tx, before, to).await? else { return Ok(found) };
        found.push(next);
    }
}

/// The same, where some lanes have fronts.
async fn behind_fronts<T: Tx>(
    tx: &mut T,
    fresh: &Fresh,
    from: &str,
    to: &str,
) -> Answer<Vec<First>> {
    let (mut found, mut before): (Vec<First>, _) = (Vec::new(), from.to_owned());
    loop {
        let mut later =
            fresh.spots.range::<str, _>((Bound::Excluded(before.as_str()), Bound::Unbounded));
        let Some((place, spot)) = later.next() else {
            let Some(next) = next(tx, &before, to).await? else { return Ok(found) };
            before.clone_from(&next.place);
            found.push(next);
            continue;
        };
        let end = later.next().map_or(to, |(place, _)| place);
        let around = around(tx, &before, (place, spot), end).await?;
        if around.is_before
            && let Some(next) = next(tx, &before, place).await?
        {
            before.clone_from(&next.place);
            found.push(next);
            continue;
        }
        found.extend(around.behind_spot);
        if end == to && !around.is_after {
            return Ok(found);
        }
        before.clone_from(place);
    }
}

/// What stands around a front.
struct Around {
    /// Whether anything stands in places before that of the front.
    is_before: bool,
    behind_spot: Option<First>,
    /// Whether anything stands in places after that of the front.
    is_after: bool,
}

/// What stands around the front of a place, between the place `before` and `end`.
async fn around<T: Tx>(
    tx: &mut T,
    before: &str,
    (place, spot): (&str, &Spot),
    end: &str,
) -> Answer<Around> {
    let (ns, due) = (tx.ns(), spot.due);
    let args = vec![
        ns.into(),
        before.into(),
        place.into(),
        ns.into(),
        place.into(),
        due.into(),
        spot.id.as_str().into(),
        due.into(),
        ns.into(),
        place.into(),
        end.into(),
    ];
    let mut around = Around { is_before: false, behind_spot: None, is_after: false };
    for columns in tx.rows(&PLACE_FRONT, args).await? {
        let first = first(columns)?;
        match first.place.as_str().cmp(place) {
            Ordering::Less => around.is_before = true,
            Ordering::Equal => around.behind_spot = Some(first),
            Ordering::Greater => around.is_after = true,
        }
    }
    Ok(around)
}

async fn next<T: Tx>(tx: &mut T, before: &str, to: &str) -> Answer<Option<First>> {
    let rows = tx.rows(&PLACE_NEXT, vec![tx.ns().into(), before.into(), to.into()]).await?;
    rows.into_iter().next().map(first).transpose()
}

fn first(columns: Columns) -> Answer<First> {
    let mut row = Reader::new(columns);
    let place = row.text().map_err(unreadable)?;
    let due = row.moment().map_err(unreadable)?;
    // One that cannot be read comes before all others of its moment.
    let id = row.texts().ok().flatten().unwrap_or_default();
    Ok(First { place, spot: Spot { due, id } })
}

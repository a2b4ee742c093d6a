//! Faults that only a file has.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::Place;

/// Holds the lock of writers for half a lease, one, or three.
pub(super) async fn lock(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let Place::Sqlite(path) = &fleet.place else { return Ok(()) };
    let file = rusqlite::Connection::open(path)?;
    file.busy_timeout(Duration::from_secs(5))?;
    let fault = fleet.begin("file locked", None);
    file.execute_batch("BEGIN IMMEDIATE")?;
    SystemClock.sleep(fleet.plan.lease * dice.pick(&[1, 2, 6]) / 2).await;
    file.execute_batch("ROLLBACK")?;
    fleet.over(fault, "file locked", None);
    Ok(())
}

//! Faults that only Redis has.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::task::block_in_place;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::Place;

/// How long a replica is cut off before its primary dies.
const CUT_OFF: Duration = Duration::from_millis(500);

/// Says something to the server and waits for its answer.
fn tell(fleet: &Fleet, words: &str) {
    if let Place::Redis(server) = &fleet.place {
        block_in_place(|| server.tell(words));
    }
}

fn a_while(dice: &mut Dice) -> Duration {
    Duration::from_millis(300 + dice.below(2500) as u64)
}

/// Lets no command be answered for half a lease, one, or three.
pub(super) async fn pause(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let length = fleet.plan.lease * dice.pick(&[1, 2, 6]) / 2;
    let fault = fleet.begin("CLIENT PAUSE", None);
    tell(fleet, &format!("CLIENT PAUSE {} ALL", length.as_millis()));
    SystemClock.sleep(length).await;
    fleet.over(fault, "CLIENT PAUSE", None);
    Ok(())
}

/// Lets the server forget its scripts, again and again.
pub(super) async fn flush_scripts(fleet: &mut Fleet) -> Result<(), Failure> {
    let fault = fleet.begin("SCRIPT FLUSH", None);
    for _ in 0..15 {
        tell(fleet, "SCRIPT FLUSH SYNC");
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    fleet.over(fault, "SCRIPT FLUSH", None);
    Ok(())
}

/// Kills the primary, whose replica was cut off for a moment before; the replica takes its place.
pub(super) async fn fail_over(fleet: &mut Fleet) -> Result<(), Failure> {
    let fault = fleet.begin("failover", None);
    if let Place::Watched(watched) = &mut fleet.place {
        block_in_place(|| watched.cut_off());
        SystemClock.sleep(CUT_OFF).await;
        block_in_place(|| watched.fail_over());
    }
    fleet.over(fault, "failover", None);
    Ok(())
}

/// Turns the server into a replica of nobody, which refuses writes, and back.
pub(super) async fn read_only(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("read-only", None);
    tell(fleet, "REPLICAOF 127.0.0.1 1");
    SystemClock.sleep(a_while(dice)).await;
    tell(fleet, "REPLICAOF NO ONE");
    fleet.over(fault, "read-only", None);
    Ok(())
}

/// Lets the server have no memory left.
pub(super) async fn full(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("maxmemory", None);
    tell(fleet, "CONFIG SET maxmemory 1");
    SystemClock.sleep(a_while(dice)).await;
    tell(fleet, "CONFIG SET maxmemory 0");
    fleet.over(fault, "maxmemory", None);
    Ok(())
}

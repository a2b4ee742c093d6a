//! Faults of the network between nodes, clients and their server.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::Weather;

/// Lets the weather be bad for a while: for one node, or for all and the clients.
async fn bad(
    fleet: &mut Fleet,
    dice: &mut Dice,
    name: &str,
    weather: Weather,
    length: Duration,
) -> Result<(), Failure> {
    let node = if dice.chance(60) { Some(fleet.any(dice)) } else { None };
    let process = node.map(|node| fleet.process(node));
    let fault = fleet.begin(name, process.as_deref());
    fleet.weather(node, weather);
    SystemClock.sleep(length).await;
    fleet.weather(node, Weather::default());
    fleet.over(fault, name, process.as_deref());
    Ok(())
}

/// Half a lease, one, or three.
fn leases(fleet: &Fleet, dice: &mut Dice) -> Duration {
    fleet.plan.lease * dice.pick(&[1, 2, 6]) / 2
}

pub(super) async fn slow(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let delay = Duration::from_millis(20 + dice.below(130) as u64);
    let bytes_per_s = dice.maybe(50, |dice| 20_000 + dice.below(80_000) as u64);
    let length = fleet.plan.lease * 2;
    bad(fleet, dice, "slow network", Weather { delay, bytes_per_s, ..Weather::default() }, length)
        .await
}

pub(super) async fn cut(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let length = leases(fleet, dice);
    bad(fleet, dice, "network cut", Weather { is_cut: true, ..Weather::default() }, length).await
}

pub(super) async fn half_open(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let length = leases(fleet, dice);
    bad(
        fleet,
        dice,
        "half-open connections",
        Weather { is_mute: true, ..Weather::default() },
        length,
    )
    .await
}

pub(super) async fn lose_replies(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let weather = Weather { loses_percent: 2 + dice.below(20), ..Weather::default() };
    let length = fleet.plan.lease * 2;
    bad(fleet, dice, "replies lost", weather, length).await
}

//! Faults of any server: killed, frozen, its clock moved.

use std::io::Write;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::task::block_in_place;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::Place;

/// Kills the server, and starts it again where it was.
pub(super) async fn kill(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("server killed", None);
    let away = Duration::from_millis(100 + dice.below(1500) as u64);
    block_in_place(|| match &mut fleet.place {
        Place::Redis(server) => server.kill(),
        Place::Mariadb(server) => server.kill(),
        Place::Watched(_) | Place::Sqlite(_) | Place::Foreign(_) => {}
    });
    SystemClock.sleep(away).await;
    block_in_place(|| match &mut fleet.place {
        Place::Redis(server) => server.restart(),
        Place::Mariadb(server) => server.restart(),
        Place::Watched(_) | Place::Sqlite(_) | Place::Foreign(_) => {}
    });
    fleet.over(fault, "server killed", None);
    Ok(())
}

/// Stops the server for half a lease, one, or three.
pub(super) async fn freeze(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let Some(pid) = fleet.place.pid().and_then(Pid::from_raw) else { return Ok(()) };
    let fault = fleet.begin("server frozen", None);
    kill_process(pid, Signal::STOP)?;
    SystemClock.sleep(fleet.plan.lease * dice.pick(&[1, 2, 6]) / 2).await;
    kill_process(pid, Signal::CONT)?;
    fleet.over(fault, "server frozen", None);
    Ok(())
}

/// Moves the store's clock an hour ahead or back, and after a while to where it was.
pub(super) async fn move_clock(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let (name, seconds) =
        dice.pick(&[("clock an hour ahead", 3600), ("clock an hour back", -3600)]);
    let fault = fleet.begin(name, None);
    shift(fleet, seconds)?;
    SystemClock.sleep(Duration::from_millis(1500 + dice.below(2500) as u64)).await;
    shift(fleet, 0)?;
    SystemClock.sleep(Duration::from_millis(500)).await;
    fleet.over(fault, name, None);
    Ok(())
}

fn shift(fleet: &Fleet, seconds: i64) -> Result<(), Failure> {
    let path = match &fleet.place {
        Place::Redis(server) => {
            server.shift_clock(seconds);
            return Ok(());
        }
        Place::Mariadb(_) => fleet.path("shift"),
        Place::Watched(_) | Place::Sqlite(_) | Place::Foreign(_) => {
            std::env::var_os("CLOCK_SHIFT_FILE").ok_or("the clock cannot be moved")?.into()
        }
    };
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    Ok(file.write_all(&(seconds * 1_000_000).to_ne_bytes())?)
}

//! Faults of nodes: killed, asked to leave, frozen, starved, and killed by what they run.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::lease::TERM_TTL;
use taskshed::store::Existing;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::NODES;
use crate::load::blocking;
use crate::load::killing;

/// What a node may take beside what it has when it is limited.
const MEMORY_LEFT_BYTES: u64 = 48 << 20;

fn ms(dice: &mut Dice, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + dice.roll() % (to - from))
}

/// Kills a node that does not lead: what it held has a shorter bound than when the leader dies.
pub(super) async fn kill(fleet: &Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let leader = fleet.leader().await;
    let followers: Vec<usize> = (0..NODES).filter(|node| Some(*node) != leader).collect();
    fleet.kill(dice.pick(&followers), ms(dice, 100, 1500))
}

/// Kills whoever leads, with what runs there.
pub(super) async fn kill_leader(fleet: &Fleet, dice: &mut Dice) -> Result<(), Failure> {
    match fleet.leader().await {
        Some(leader) => fleet.kill(leader, ms(dice, 500, 1500)),
        None => Ok(()),
    }
}

pub(super) fn kill_all(fleet: &Fleet, dice: &mut Dice) -> Result<(), Failure> {
    (0..NODES).try_for_each(|node| fleet.kill(node, ms(dice, 100, 800)))
}

pub(super) fn leave(fleet: &Fleet, dice: &mut Dice) -> Result<(), Failure> {
    fleet.ask_to_leave(fleet.any(dice), ms(dice, 100, 1500))
}

/// Restarts one node after the other as another version.
pub(super) async fn upgrade(fleet: &Fleet) -> Result<(), Failure> {
    for node in 0..NODES {
        fleet.upgrade(node);
        fleet.ask_to_leave(node, Duration::from_millis(100))?;
        SystemClock.sleep(Duration::from_millis(1500)).await;
    }
    Ok(())
}

/// Stops a node for half a lease, one, or three.
pub(super) async fn freeze(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let (node, halves) = (fleet.any(dice), dice.pick(&[1, 2, 6]));
    let process = fleet.process(node);
    let fault = fleet.begin("node frozen", Some(&process));
    fleet.freeze(node, fleet.plan.lease * halves / 2).await;
    fleet.over(fault, "node frozen", Some(&process));
    Ok(())
}

/// Stops the leader beyond its term; when it wakes there are two that believe to lead.
pub(super) async fn freeze_leader(fleet: &mut Fleet) -> Result<(), Failure> {
    let Some(node) = fleet.leader().await else { return Ok(()) };
    let process = fleet.process(node);
    let fault = fleet.begin("leader frozen", Some(&process));
    fleet.freeze(node, TERM_TTL + Duration::from_secs(2)).await;
    fleet.over(fault, "leader frozen", Some(&process));
    Ok(())
}

/// Adds a task that kills two nodes in a row.
pub(super) async fn poison(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let id = format!("poison-{}", dice.roll());
    let fault = fleet.begin("poison", None);
    fleet.client(&id)?.add(vec![killing(&id, "work", 2)], Existing::Keep).await;
    SystemClock.sleep(fleet.plan.lease * 3).await;
    fleet.over(fault, "poison", None);
    Ok(())
}

/// Gives a node a tenth of a processor.
pub(super) async fn starve(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let node = fleet.any(dice);
    let process = fleet.process(node);
    let fault = fleet.begin("node starved", Some(&process));
    for _ in 0..20 + dice.below(20) {
        fleet.signal(node, Signal::STOP);
        SystemClock.sleep(Duration::from_millis(90)).await;
        fleet.signal(node, Signal::CONT);
        SystemClock.sleep(Duration::from_millis(10)).await;
    }
    fleet.over(fault, "node starved", Some(&process));
    Ok(())
}

/// Limits the memory of all nodes and adds a task that takes more.
pub(super) async fn eat_memory(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("memory limit", None);
    let limits: Vec<_> = (0..NODES).map(|node| Limit::of(fleet, node)).collect();
    for (node, limit) in limits.iter().enumerate() {
        if limit.is_none() {
            limit_addresses(fleet, node)?;
        }
    }
    let id = format!("eater-{}", dice.roll());
    fleet.client(&id)?.add(vec![killing(&id, "eat", 1)], Existing::Keep).await;
    SystemClock.sleep(fleet.plan.lease * 3).await;
    drop(limits);
    fleet.over(fault, "memory limit", None);
    Ok(())
}

/// Without control groups: the process is refused memory, and aborts.
fn limit_addresses(fleet: &Fleet, node: usize) -> Result<(), Failure> {
    let Some(pid) = fleet.pid(node) else { return Ok(()) };
    let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero()))?;
    let pages: u64 = statm.split_whitespace().next().ok_or("it has no size")?.parse()?;
    let most = Some(pages * 4096 + MEMORY_LEFT_BYTES);
    rustix::process::prlimit(Some(pid), Resource::As, Rlimit { current: most, maximum: most })?;
    Ok(())
}

/// A control group that limits the memory of one process.
struct Limit {
    dir: PathBuf,
}

impl Limit {
    fn of(fleet: &Fleet, node: usize) -> Option<Self> {
        let pid = fleet.pid(node)?.as_raw_nonzero();
        let dir = PathBuf::from(format!("/sys/fs/cgroup/memory/taskshed-chaos-{pid}"));
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        fs::create_dir(&dir).ok()?;
        let limit = Self { dir };
        let bytes = pages * 4096 + MEMORY_LEFT_BYTES;
        fs::write(limit.dir.join("memory.limit_in_bytes"), bytes.to_string()).ok()?;
        fs::write(limit.dir.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(limit)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let own = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        for pid in own.lines() {
            let _it_may_have_ended = fs::write("/sys/fs/cgroup/memory/cgroup.procs", pid);
        }
        let _stays_if_a_process_does = fs::remove_dir(&self.dir);
    }
}

/// Blocks all threads that handlers run on, on every node, for longer than a lease.
pub(super) async fn block_runtime(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("runtime blocked", None);
    let (name, length) = (dice.roll(), fleet.plan.lease * 3 / 2);
    let tasks = (0..NODES * 4).map(|n| blocking(&format!("block-{name}-{n}"), length)).collect();
    fleet.client(&format!("block-{name}"))?.add(tasks, Existing::Keep).await;
    SystemClock.sleep(length * 2).await;
    fleet.over(fault, "runtime blocked", None);
    Ok(())
}

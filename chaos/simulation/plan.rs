//! What a seed stands for: how large a cluster, which work, which faults.

use std::time::Duration;

use taskshed::domain::lease::DEFAULT_LEASE;

use crate::dice::Dice;
use crate::missing::Missing;

/// All that is decided before the run.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) missing: Missing,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) lease: Duration,
    pub(crate) concurrency: usize,
    pub(crate) drain_timeout: Duration,
    pub(crate) polls_every: Option<Duration>,
    /// How long faults happen and clients work.
    pub(crate) length: Duration,
    /// Mean time between two calls of one client.
    pub(crate) call_every: Duration,
    /// Mean time between two faults.
    pub(crate) fault_every: Duration,
    /// The kinds of faults that happen.
    pub(crate) faults: Vec<FaultKind>,
    /// After this long a call is given up.
    pub(crate) patience: Duration,
    /// Whether an answer waits until the replica has what it tells of. It does where the store's clock
    /// is set back: fences that ran ahead of the clock are safe in the store alone (T4).
    pub(crate) replicated: bool,
    /// How fast or slow the clocks of nodes are at most, in parts of a million.
    pub(crate) drift_ppm: u32,
    /// Whether recurring tasks catch up; then the store's clock makes no large jumps.
    pub(crate) catches_up: bool,
    /// Whether every node has every callback.
    pub(crate) is_alike: bool,
    /// Whether there are tasks that kill their nodes.
    pub(crate) has_killers: bool,
    /// Whether clients pause queues.
    pub(crate) has_gates: bool,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Kill,
    Freeze,
    Block,
    Drain,
    Cut,
    Lossy,
    Slow,
    StoreFreeze,
    StoreRestart,
    Failover,
    StoreClock,
    KillLeader,
    FreezeLeader,
    Resign,
}

impl FaultKind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Kill,
        Self::Freeze,
        Self::Block,
        Self::Drain,
        Self::Cut,
        Self::Lossy,
        Self::Slow,
        Self::StoreFreeze,
        Self::StoreRestart,
        Self::Failover,
        Self::StoreClock,
        Self::KillLeader,
        Self::FreezeLeader,
        Self::Resign,
    ];
}

impl Plan {
    /// The plan of a seed. Few kinds of faults happen in one run, so that each has room to do harm.
    pub(crate) fn of(seed: u64, missing: Missing) -> Self {
        let mut dice = Dice::of(seed);
        let secs = Duration::from_secs;
        let millis = Duration::from_millis;
        let mut faults: Vec<FaultKind> = Vec::new();
        for _ in 0..=dice.below(4) {
            faults.push(dice.pick(&FaultKind::ALL));
        }
        let concurrency = dice.pick(&[1, 4, 16, 64, 64]);
        faults.extend(missing.guards_against());
        // Whoever does one thing after the other must not be asked for too much.
        let calls = if concurrency == 1 { [1500, 2000, 3000] } else { [200, 400, 800] };
        Self {
            seed,
            missing,
            nodes: 2 + dice.below(3),
            clients: 1 + dice.below(2),
            lease: dice.pick(&[secs(1), secs(2), secs(2), secs(3), DEFAULT_LEASE]),
            concurrency,
            drain_timeout: dice.pick(&[millis(300), secs(2), secs(5)]),
            polls_every: dice.maybe(15, |dice| dice.pick(&[millis(200), secs(1)])),
            length: secs(30 + dice.below(60) as u64),
            call_every: millis(dice.pick(&calls)),
            fault_every: secs(dice.pick(&[3, 6, 12])),
            faults: faults.clone(),
            patience: dice.pick(&[millis(500), secs(1), secs(3)]),
            replicated: dice.chance(50) || faults.contains(&FaultKind::StoreClock),
            drift_ppm: dice.pick(&[50, 50, 50, 4000]),
            catches_up: dice.chance(50),
            is_alike: dice.chance(80),
            has_killers: dice.chance(30),
            has_gates: dice.chance(15),
        }
    }

    /// Whether a task may have to wait for a place where it can run, so that there is no bound for
    /// when it runs again.
    pub(crate) fn is_tight(&self) -> bool {
        let is_small = self.concurrency < 64 || self.polls_every.is_some();
        is_small || !self.is_alike || self.has_killers || self.has_gates || self.goes_back()
    }

    /// Whether the store's clock is set back: then an id that was gone must not come again, because its
    /// fences would start anew below the old ones (T4).
    pub(crate) fn goes_back(&self) -> bool {
        self.faults.contains(&FaultKind::StoreClock)
    }

    /// Whether nodes seem to die by nothing but the tasks that they run, so that no other task may end
    /// dead for it (N4). A claim that the node never heard of counts, too, if it dies thereafter.
    pub(crate) fn only_tasks_kill(&self) -> bool {
        let kinds = [FaultKind::Drain, FaultKind::Resign, FaultKind::StoreClock];
        self.faults.iter().all(|fault| kinds.contains(fault))
    }

    pub(crate) fn is_keeper_with_handlers(&self) -> bool {
        self.missing == Missing::KeeperApart
    }
}

//! What can happen, as plain values: a sequence of steps can be cut anywhere and still makes sense,
//! because what a step refers to is looked up when it is played.

use crate::dice::Dice;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) act: Act,
    /// Whether the reply is lost, so that the same call is made again at once.
    pub(crate) reply_lost: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The store's clock goes on, ms.
    Pass(u64),
    /// It steps back, ms.
    Back(u64),
    Add {
        tasks: Vec<Shape>,
        keep: bool,
    },
    /// One of the last calls arrives once more, late.
    Late(usize),
    Claim(Wish),
    Keep {
        node: usize,
        claims: Vec<usize>,
        beat: Option<Beating>,
    },
    Ack(Vec<(usize, End)>),
    Change {
        target: Aim,
        action: Asking,
    },
    Gate {
        queue: usize,
        open: bool,
    },
    Stand(usize),
    Resign(Option<usize>),
    /// The leader looks at a claim, or at all leases.
    Look(Option<usize>),
    /// It reclaims what it saw.
    Reclaim(usize),
    Maintain(usize),
    /// All tasks are copied to fresh stores, in which it goes on.
    Move,
    Watch {
        id: usize,
        ms: u64,
    },
}

/// A task to be added.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) id: usize,
    pub(crate) callback: usize,
    pub(crate) queue: usize,
    pub(crate) priority: usize,
    pub(crate) group: Option<usize>,
    pub(crate) key: Option<usize>,
    pub(crate) run_in_ms: u64,
    pub(crate) expires_in_ms: Option<u64>,
    pub(crate) every_ms: Option<u64>,
    pub(crate) coalesce: bool,
    pub(crate) paused: bool,
    pub(crate) retention_ms: u64,
    pub(crate) attempts_max: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) node: usize,
    pub(crate) anew: bool,
    pub(crate) remote: bool,
    pub(crate) queues: usize,
    pub(crate) callbacks: usize,
    pub(crate) limit: usize,
    pub(crate) ttl_ms: u64,
    pub(crate) ahead_ms: u64,
    pub(crate) two: usize,
    pub(crate) three: usize,
    pub(crate) idle: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Beating {
    Beat,
    /// By a younger process of the node.
    Anew,
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Completed(bool),
    Failed,
    Dead,
    Snoozed(u64),
    Released,
    Cancelled,
}

#[derive(Clone, Debug)]
pub(crate) enum Aim {
    Ids(Vec<usize>),
    Group(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Asking {
    Pause,
    Resume,
    Cancel,
    Retry,
    RescheduleIn(u64),
    RescheduleEach,
    Remove,
}

/// How many of each there are: few enough that they meet.
pub(crate) const IDS: usize = 7;
pub(crate) const NODES: usize = 3;
const GROUPS: usize = 2;
const KEYS: usize = 2;

/// A sequence of steps.
pub(crate) fn sequence(dice: &mut Dice, length: usize) -> Vec<Step> {
    let mut steps = vec![Step { act: Act::Stand(0), reply_lost: false }];
    while steps.len() < length {
        let acts = if dice.chance(4) { crash(dice) } else { vec![act(dice)] };
        steps.extend(acts.into_iter().map(|act| Step { act, reply_lost: dice.chance(15) }));
    }
    steps
}

/// A node takes tasks and dies; its lease is reclaimed. By chance alone that would be rare.
fn crash(dice: &mut Dice) -> Vec<Act> {
    let ttl_ms = dice.pick(&[1_000, 10_000]);
    let room = Wish { two: 2, three: 2, idle: true, limit: 10, ttl_ms, ..wish(dice) };
    let node = dice.below(NODES);
    vec![
        Act::Claim(room),
        Act::Pass(ttl_ms + 500),
        Act::Stand(node),
        Act::Look(Some(0)),
        Act::Reclaim(0),
        Act::Pass(dice.pick(&[1, 12_000])),
    ]
}

fn act(dice: &mut Dice) -> Act {
    match dice.below(100) {
        0..=11 => Act::Pass(dice.pick(&[1, 50, 300, 1_000, 5_000, 12_000, 31_000, 90_000])),
        12 => Act::Back(dice.pick(&[1, 500, 4_000])),
        13..=27 => add(dice),
        28..=30 => Act::Late(dice.below(20)),
        31..=48 => Act::Claim(wish(dice)),
        49..=53 => keep(dice),
        54 => Act::Move,
        55..=69 => {
            let count = 1 + dice.below(3);
            Act::Ack((0..count).map(|_| (dice.below(8), end(dice))).collect())
        }
        70..=82 => change(dice),
        83..=84 => Act::Gate { queue: dice.below(2), open: dice.chance(60) },
        85..=88 => Act::Stand(dice.below(NODES)),
        89 => Act::Resign(dice.maybe(60, |dice| dice.below(NODES))),
        90..=92 => Act::Look(dice.maybe(80, |dice| dice.below(8))),
        93..=96 => Act::Reclaim(dice.below(3)),
        97..=98 => Act::Maintain(dice.pick(&[1, 1_000])),
        _ => Act::Watch { id: dice.below(IDS), ms: dice.pick(&[1_000, 30_000]) },
    }
}

fn add(dice: &mut Dice) -> Act {
    let count = 1 + dice.below(3);
    let first = dice.below(IDS);
    let tasks = (0..count).map(|n| shape(dice, (first + n) % IDS)).collect();
    Act::Add { tasks, keep: dice.chance(20) }
}

fn shape(dice: &mut Dice, id: usize) -> Shape {
    Shape {
        id,
        callback: dice.pick(&[0, 0, 0, 1, 2]),
        queue: dice.pick(&[0, 0, 1]),
        priority: dice.below(4),
        group: dice.maybe(30, |dice| dice.below(GROUPS)),
        key: dice.maybe(30, |dice| dice.below(KEYS)),
        run_in_ms: dice.pick(&[0, 0, 0, 40, 2_000]),
        expires_in_ms: dice.maybe(20, |dice| dice.pick(&[0, 100, 6_000])),
        every_ms: dice.maybe(30, |dice| dice.pick(&[500, 3_000, 60_000])),
        coalesce: dice.chance(70),
        paused: dice.chance(10),
        retention_ms: dice.pick(&[0, 0, 5_000]),
        attempts_max: dice.pick(&[1, 2, 20]),
    }
}

fn wish(dice: &mut Dice) -> Wish {
    Wish {
        node: dice.below(NODES),
        anew: dice.chance(10),
        remote: dice.chance(10),
        queues: dice.below(4),
        callbacks: dice.pick(&[0, 0, 1, 2, 3]),
        limit: dice.pick(&[1, 2, 10]),
        ttl_ms: dice.pick(&[1_000, 10_000]),
        ahead_ms: dice.pick(&[0, 50]),
        two: dice.below(2),
        three: dice.below(2),
        idle: dice.chance(40),
    }
}

fn keep(dice: &mut Dice) -> Act {
    let count = dice.below(3);
    Act::Keep {
        node: dice.below(NODES),
        claims: (0..count).map(|_| dice.below(6)).collect(),
        beat: dice.maybe(70, |dice| {
            dice.pick(&[Beating::Beat, Beating::Beat, Beating::Anew, Beating::Leave])
        }),
    }
}

fn end(dice: &mut Dice) -> End {
    match dice.below(10) {
        0..=3 => End::Completed(dice.chance(50)),
        4..=5 => End::Failed,
        6 => End::Dead,
        7 => End::Snoozed(dice.pick(&[0, 1_000, 10_000])),
        8 => End::Released,
        _ => End::Cancelled,
    }
}

fn change(dice: &mut Dice) -> Act {
    let action = match dice.below(12) {
        0..=1 => Asking::Pause,
        2..=3 => Asking::Resume,
        4..=5 => Asking::Cancel,
        6..=7 => Asking::Retry,
        8 => Asking::RescheduleIn(dice.pick(&[0, 1_000, 20_000])),
        9 => Asking::RescheduleEach,
        _ => Asking::Remove,
    };
    // Which of two tasks of a group with one key a retry revives is nobody's promise.
    let needs_ids = matches!(action, Asking::Retry | Asking::RescheduleEach);
    let target = if !needs_ids && dice.chance(25) {
        Aim::Group(dice.below(GROUPS))
    } else {
        let count = 1 + dice.below(3);
        Aim::Ids((0..count).map(|_| dice.below(IDS + 1)).collect())
    };
    Act::Change { target, action }
}

//! Sorts of tasks, so that each promise could be broken.

use std::time::Duration;

use taskshed::Task;
use taskshed::domain::retry::Backoff;

use crate::checker::history::Added;
use crate::dice::Dice;
use crate::worker::Deed;

/// Groups that tasks are in.
pub(crate) const GROUPS: [&str; 4] = ["g-0", "g-1", "g-2", "g-3"];

/// How many recurring tasks there are; their ids are `r-0` and so on.
pub(crate) const RECURRING: usize = 8;

/// Unique keys that tasks have.
const KEYS: [&str; 5] = ["k-0", "k-1", "k-2", "k-3", "k-4"];

/// How long completed tasks are kept: longer than any clock jumps.
const KEPT: Duration = Duration::from_secs(86_400);

/// A task and what a history says of it.
pub(crate) type Sorted = (Task, Added);

/// A task that is added once, of any sort.
pub(crate) fn one_off(id: &str, dice: &mut Dice) -> Sorted {
    let mut deed = Deed { ms: 5 + dice.below(200) as u64, ..Deed::default() };
    let mut spec = Added { task: id.to_owned(), max_attempts: 3, ..Added::default() };
    let mut wait = None;
    match dice.below(100) {
        0..12 => wait = Some(Duration::from_millis(50 + dice.below(2500) as u64)),
        12..22 => deed.fails = 1 + u32::try_from(dice.below(3)).unwrap_or(0),
        22..32 => {
            spec.exclusive = true;
            deed.ms = 300 + dice.below(2500) as u64;
        }
        32..42 => deed.ms = 800 + dice.below(2500) as u64,
        42..50 => spec.unique_key = Some(dice.pick(&KEYS).to_owned()),
        50..54 => deed.snoozes = true,
        54..57 => spec.paused = true,
        _ => {}
    }
    spec.group = dice.maybe(15, |dice| dice.pick(&GROUPS).to_owned());
    let kept = if dice.chance(90) { KEPT } else { Duration::ZERO };
    spec.retention_us = kept.as_micros().try_into().unwrap_or(0);
    (task("work", deed, &spec, wait), spec)
}

/// A recurring task.
pub(crate) fn recurring(number: usize, dice: &mut Dice) -> Sorted {
    let every = Duration::from_millis(300 + 100 * dice.below(8) as u64);
    let deed = Deed {
        ms: 20 + dice.below(500) as u64,
        fails: u32::from(number % 4 == 1),
        ..Deed::default()
    };
    let spec = Added {
        task: format!("r-{number}"),
        interval_us: every.as_micros().try_into().ok(),
        catches_up: number % 4 == 2,
        max_attempts: 2,
        exclusive: number % 4 == 3,
        ..Added::default()
    };
    (task("work", deed, &spec, None).every(every), spec)
}

/// A task that kills the nodes that run it, by itself or by the memory that it takes.
pub(crate) fn killing(id: &str, callback: &str, kills: u32) -> Sorted {
    let retention_us = KEPT.as_micros().try_into().unwrap_or(0);
    let spec = Added {
        task: id.to_owned(),
        max_attempts: 3,
        retention_us,
        kills: true,
        ..Added::default()
    };
    let deed = Deed { ms: 50, kills, ..Deed::default() };
    (task(callback, deed, &spec, None), spec)
}

/// A task that blocks the thread that it runs on.
pub(crate) fn blocking(id: &str, length: Duration) -> Sorted {
    let retention_us = KEPT.as_micros().try_into().unwrap_or(0);
    let spec = Added { task: id.to_owned(), max_attempts: 3, retention_us, ..Added::default() };
    let ms = length.as_millis().try_into().unwrap_or(0);
    (task("block", Deed { ms, ..Deed::default() }, &spec, None), spec)
}

fn task(callback: &str, deed: Deed, spec: &Added, wait: Option<Duration>) -> Task {
    let backoff = Backoff {
        base: Duration::from_millis(100),
        cap: Duration::from_secs(1),
        ..Backoff::default()
    };
    let mut task = Task::new(callback, &deed)
        .expect("a deed becomes an object")
        .id(&spec.task)
        .max_attempts(spec.max_attempts)
        .retention(Duration::from_micros(spec.retention_us))
        .backoff(backoff);
    if let Some(wait) = wait {
        task = task.run_in(wait);
    }
    if spec.exclusive {
        task = task.exclusive();
    }
    if spec.paused {
        task = task.paused();
    }
    if spec.catches_up {
        task = task.catch_up();
    }
    if let Some(key) = &spec.unique_key {
        task = task.unique_key(key);
    }
    if let Some(group) = &spec.group {
        task = task.group(group);
    }
    task
}

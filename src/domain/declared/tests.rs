//! Which of two files holds, and what is done so that it does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::draft::Task;

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-24T12:00:00Z")
}

fn tick() -> Task {
    Task::new("tick", &json!({})).unwrap()
}

fn set(edition: &str, tasks: impl IntoIterator<Item = (&'static str, Task)>) -> Declared {
    let draft = |(name, task): (&str, Task)| {
        let id = task_id(name);
        (TaskId::parse(&id).unwrap(), task.id(&id).check(usize::MAX).unwrap())
    };
    let tasks = tasks.into_iter().map(draft).collect();
    Declared { revision: 0, edition: edition.into(), tasks }
}

/// What a store has, so far as it matters here.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept(BTreeMap<TaskId, TaskRecord>);

impl Kept {
    fn add(&mut self, task: &NewTask, now: Timestamp) {
        let run_at = task.run_at.resolve(now);
        let record = TaskRecord {
            id: task.id.clone(),
            spec: Arc::clone(&task.spec),
            state: TaskState::Scheduled,
            created_at: now,
            run_at,
            planned_at: run_at,
            expires_at: None,
            paused_at: task.paused.map(|paused| paused.resolve(now)),
            parked: false,
            attempt: 0,
            crashes: 0,
            errors: Vec::new(),
            finished_at: None,
            result: None,
            lease: None,
        };
        self.0.insert(task.id.clone(), record);
    }

    fn steps(&self, declared: &Declared, now: Timestamp) -> Steps {
        declared.steps(self.0.get(&register_id()), &self.0, now).unwrap()
    }

    fn standing(&self, declared: &Declared) -> Standing {
        declared.standing(self.in_force().as_ref())
    }

    fn in_force(&self) -> Option<InForce> {
        self.0.get(&register_id()).and_then(InForce::read)
    }

    /// Takes the first `count` of all single steps.
    fn take(&mut self, steps: &Steps, count: usize, now: Timestamp) {
        let adds = steps.add.iter().map(|task| (Some(task), None));
        let removes = steps.remove.iter().map(|id| (None, Some(id)));
        let settle = steps.settle.iter().map(|task| (Some(task), None));
        for (add, remove) in adds.chain(removes).chain(settle).take(count) {
            if let Some(task) = add {
                self.add(task, now);
            }
            if let Some(id) = remove {
                self.0.remove(id);
            }
        }
    }

    /// Lets a set hold as a leader does; answers whether it changed anything.
    fn declare(&mut self, declared: &Declared, now: Timestamp) -> bool {
        match self.standing(declared) {
            Standing::Same | Standing::Newer => {}
            Standing::Older | Standing::Unclear => return false,
        }
        let steps = self.steps(declared, now);
        self.take(&steps, usize::MAX, now);
        !steps.is_empty()
    }

    fn planned(&self, name: &str) -> Option<Timestamp> {
        self.task(name).map(|task| task.planned_at)
    }

    fn task(&self, name: &str) -> Option<&TaskRecord> {
        self.0.get(&TaskId::parse(&task_id(name)).unwrap())
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut TaskRecord)) {
        change(self.0.get_mut(&TaskId::parse(&task_id(name)).unwrap()).unwrap());
    }
}

#[test]
fn a_set_holds_and_is_left_alone_after_that() {
    let set = set("a", [("hourly", tick().every(HOUR)), ("daily", tick().cron("@daily"))]);
    let mut kept = Kept::default();

    assert!(kept.declare(&set, noon()));
    assert_eq!(kept.planned("hourly"), Some(noon()));
    assert_eq!(kept.planned("daily"), Some(at("2026-11-25T00:00:00Z")));
    let before = kept.clone();

    assert!(!kept.declare(&set, noon().plus(HOUR / 2)), "a restart replaces nothing");
    assert_eq!(kept, before);
}

#[test]
fn a_newer_set_adds_changes_and_removes_and_leaves_the_rest() {
    let old = [("same", tick().every(HOUR)), ("gone", tick().every(HOUR))];
    let mut kept = Kept::default();
    kept.declare(&set("a", old.clone()), noon());
    let later = noon().plus(HOUR / 2);
    kept.change("same", |task| task.planned_at = later.plus(HOUR));
    let same = kept.task("same").cloned();

    kept.declare(&set("b", [("same", tick().every(HOUR)), ("new", tick().every(HOUR))]), later);

    assert_eq!(kept.task("same").cloned(), same);
    assert_eq!(kept.planned("new"), Some(later));
    assert_eq!(kept.task("gone"), None);
    assert_eq!(kept.in_force().unwrap().tasks.len(), 2);
    assert!(kept.declare(&set("c", []), later));
    assert_eq!((kept.task("same"), kept.task("new")), (None, None));
}

/// Whoever leads in whatever order: each edition takes force at most once per revision.
#[test]
fn two_files_that_meet_do_not_fight() {
    let old = set("a", [("x", tick().every(HOUR))]);
    let new = set("b", [("x", tick().every(HOUR / 2))]);
    let mut kept = Kept::default();
    kept.declare(&old, noon());
    assert!(kept.declare(&new, noon()));

    for _ in 0..3 {
        assert_eq!(kept.standing(&old), Standing::Older);
        assert!(!kept.declare(&old, noon()));
        assert_eq!(kept.standing(&new), Standing::Same);
        assert!(!kept.declare(&new, noon()));
    }
    let back = Declared { revision: 1, ..old.clone() };
    assert!(kept.declare(&back, noon()), "a higher revision brings it back");
    assert_eq!(kept.standing(&new), Standing::Older);
    assert_eq!(kept.standing(&old), Standing::Older);
    let again = Declared { revision: 1, ..new };
    assert!(kept.declare(&again, noon()) && !kept.declare(&back, noon()));
}

/// A leader may die after any step: the next one with the same file goes on, and one with the older
/// file changes nothing.
#[test]
fn whoever_dies_between_two_steps_is_followed() {
    let old = set("a", [("keep", tick().every(HOUR)), ("gone", tick().every(HOUR))]);
    let new = set(
        "b",
        [
            ("keep", tick().every(HOUR).paused()),
            ("one", tick().every(HOUR)),
            ("two", tick().cron("@daily")),
        ],
    );
    let mut start = Kept::default();
    start.declare(&old, noon());
    let mut whole = start.clone();
    whole.declare(&new, noon());
    let steps = start.steps(&new, noon());
    let count = steps.add.len() + steps.remove.len() + usize::from(steps.settle.is_some());
    assert_eq!(count, 6, "the register, three tasks, one removal, the register again");

    for taken in 1..count {
        let mut kept = start.clone();
        kept.take(&steps, taken, noon());
        assert_eq!(kept.standing(&old), Standing::Older, "after {taken}");
        assert!(kept.declare(&new, noon()), "after {taken}");
        assert_eq!(kept, whole, "after {taken}");
        assert!(!kept.declare(&new, noon()), "after {taken}");
    }
}

#[test]
fn a_changed_schedule_keeps_its_grid_where_that_makes_sense() {
    let in_minutes = |minutes: u64| noon().plus(Duration::from_secs(60 * minutes));
    let with = |task: Task| task.queue("other");
    for (old, new, planned, expected) in [
        (tick().every(HOUR), with(tick().every(HOUR)), in_minutes(40), in_minutes(40)),
        (tick().every(HOUR), tick().every(HOUR / 2), in_minutes(40), in_minutes(30)),
        (tick().every(HOUR), tick().every(2 * HOUR), in_minutes(40), in_minutes(40)),
        (tick().cron("@daily"), with(tick().cron("@daily")), in_minutes(90), in_minutes(90)),
        (tick().cron("@daily"), tick().cron("@hourly"), in_minutes(720), noon()),
        (tick().every(HOUR), tick().cron("30 * * * *"), in_minutes(40), in_minutes(30)),
        (tick().every(HOUR), tick().cron("@daily"), noon(), noon()),
    ] {
        let mut kept = Kept::default();
        kept.declare(&set("a", [("x", old)]), noon());
        kept.change("x", |task| task.planned_at = planned);

        kept.declare(&set("b", [("x", new.clone())]), noon());

        assert_eq!(kept.planned("x"), Some(expected), "{new:?}");
    }
}

#[test]
fn an_occurrence_that_runs_or_failed_stays_the_next_one() {
    let changed = set("b", [("x", tick().cron("@hourly"))]);
    for state in [TaskState::Running, TaskState::Scheduled] {
        let mut kept = Kept::default();
        kept.declare(&set("a", [("x", tick().cron("@daily"))]), noon());
        let planned = at("2026-11-24T00:00:00Z");
        kept.change("x", |task| {
            (task.state, task.planned_at) = (state, planned);
            task.run_at = noon().plus(HOUR);
        });

        kept.declare(&changed, noon());

        assert_eq!(kept.planned("x"), Some(planned), "{state:?}");
    }
}

#[test]
fn a_pause_by_hand_outlives_a_change_and_one_of_the_file_ends_with_it() {
    let mut kept = Kept::default();
    kept.declare(
        &set("a", [("x", tick().every(HOUR)), ("y", tick().every(HOUR).paused())]),
        noon(),
    );
    assert!(kept.task("y").unwrap().paused_at.is_some());
    kept.change("x", |task| task.paused_at = Some(noon()));
    let later = noon().plus(HOUR);

    kept.declare(&set("b", [("x", tick().every(2 * HOUR)), ("y", tick().every(HOUR))]), later);

    assert_eq!(kept.task("x").unwrap().paused_at, Some(noon()));
    assert_eq!(kept.task("y").unwrap().paused_at, None);
}

#[test]
fn what_was_removed_by_hand_comes_back_and_what_has_ended_stays_ended() {
    let set = set("a", [("x", tick().every(HOUR)), ("y", tick().every(HOUR))]);
    let mut kept = Kept::default();
    kept.declare(&set, noon());
    kept.0.remove(&TaskId::parse("schedule:x").unwrap());
    kept.change("y", |task| task.state = TaskState::Dead);

    assert!(kept.declare(&set, noon()));

    assert!(kept.task("x").is_some());
    assert_eq!(kept.task("y").unwrap().state, TaskState::Dead);
}

#[test]
fn a_register_that_was_lost_or_touched_is_written_again() {
    let set = set("a", [("x", tick().every(HOUR))]);
    let mut kept = Kept::default();
    kept.declare(&set, noon());
    kept.0.get_mut(&register_id()).unwrap().paused_at = None;
    assert!(kept.declare(&set, noon()));
    assert!(kept.0[&register_id()].paused_at.is_some());

    let before = kept.task("x").cloned();
    kept.0.remove(&register_id());
    assert!(kept.declare(&set, noon().plus(HOUR)));

    assert_eq!(kept.task("x").cloned(), before, "its task is as declared already");
}

#[test]
fn a_revision_that_had_too_many_editions_takes_no_more() {
    let set = set("new", []);
    let mut held = InForce {
        revision: 0,
        edition: "now".into(),
        tasks: BTreeMap::new(),
        superseded: (0..EDITIONS_MAX).map(|number| number.to_string()).collect(),
    };

    assert_eq!(set.standing(Some(&held)), Standing::Unclear);
    assert_eq!(Declared { revision: 1, ..set.clone() }.standing(Some(&held)), Standing::Newer);
    held.superseded.pop();
    assert_eq!(set.standing(Some(&held)), Standing::Newer);
}

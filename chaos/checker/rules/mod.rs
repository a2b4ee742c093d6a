//! What must hold, judged from a history: a rule for each invariant of `docs/invariants.md`.
//!
//! A call whose answer is unknown may have had its effect at any time after it was sent, or none. A rule
//! finds a fault only where every such possibility is one.

mod kept;
mod leader;
mod leases;
mod nodes;
mod outcomes;
mod overlaps;
mod recurring;
mod times;
mod unique;

use super::figures::Figures;
use super::story::Story;

/// What a rule says of a story.
type Rule = fn(&Story<'_>, &mut Findings);

/// All rules, each with the invariants that it judges.
const RULES: &[(&str, Rule)] = &[
    ("T1", kept::nothing_is_lost),
    ("T2", kept::nothing_runs_that_was_not_added),
    ("T3", leases::one_lease_at_a_time),
    ("T4", leases::fences_grow),
    ("T5", leases::a_lost_claim_changes_nothing),
    ("T6", outcomes::one_outcome_per_planned_time),
    ("T7", outcomes::attempts_are_bounded_and_ends_final),
    ("T8", times::nothing_is_claimed_or_starts_too_early),
    ("T9", overlaps::runs_do_not_overlap),
    ("T10", kept::nothing_is_left),
    ("S1", recurring::the_grid_is_kept),
    ("S2", unique::one_live_task_per_key),
    ("L1", leader::terms_grow_and_old_ones_do_nothing),
    ("N1", nodes::who_leaves_leaves_nothing),
    ("N2", nodes::tasks_of_the_dead_run_again),
    ("N3", overlaps::lost_runs_are_stopped),
    ("N4", nodes::killers_take_no_other),
];

/// What the rules found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) figures: Figures,
    /// Id of the rule that speaks.
    id: &'static str,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its id.
    pub(crate) id: &'static str,
    /// The task concerned, if it is one.
    pub(crate) task: Option<String>,
    /// What happened, in a sentence.
    pub(crate) what: String,
}

impl Findings {
    /// A fault with one task.
    fn task(&mut self, task: &str, what: impl Into<String>) {
        let (id, task, what) = (self.id, Some(task.to_owned()), what.into());
        self.violations.push(Violation { id, task, what });
    }

    /// A fault that concerns no single task.
    fn all(&mut self, what: impl Into<String>) {
        let (id, what) = (self.id, what.into());
        self.violations.push(Violation { id, task: None, what });
    }
}

/// The ids of all rules.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(id, _)| *id)
}

/// Lets each rule judge a story.
pub(crate) fn judge(story: &Story<'_>) -> Findings {
    let mut findings = Findings { figures: Figures::of(story), ..Findings::default() };
    for (id, rule) in RULES {
        findings.id = id;
        rule(story, &mut findings);
    }
    findings
}

/// A moment of the steady clock as people read it.
fn seconds(us: u64) -> String {
    format!("{}.{:06} s", us / 1_000_000, us % 1_000_000)
}

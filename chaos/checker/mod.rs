//! Says whether a history keeps what taskshed promises.
//!
//! It knows the promises (`docs/invariants.md`) and the form of a history (`docs/reference/history.md`),
//! and nothing of the code that made it: it imports `std`, `serde` and `serde_json`. Who includes it by its
//! path names it `checker`, at the root of the program.

pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod report;
mod rules;
mod shown;
mod story;

use history::Line;

pub(crate) use figures::Figures;
pub(crate) use rules::Violation;

/// What became of a history.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// What does not hold, by the order of the invariants.
    pub(crate) violations: Vec<Violation>,
    /// What is allowed and matters.
    pub(crate) figures: Figures,
}

impl Judgement {
    /// How many faults of an invariant were found.
    pub(crate) fn count(&self, id: &str) -> usize {
        self.violations.iter().filter(|violation| violation.id == id).count()
    }
}

/// Judges a history, and puts its lines into the order of their moments.
pub(crate) fn check(lines: &mut [Line]) -> Judgement {
    lines.sort_by_key(|line| line.at);
    let findings = rules::judge(&story::Story::of(lines));
    Judgement { violations: findings.violations, figures: findings.figures }
}

//! Many sequences, and the shortest one that fails.

use crate::dice::Dice;
use crate::game;
use crate::game::Stores;
use crate::step;
use crate::step::Step;

/// Sequences that are tried to make one shorter.
const TRIES: usize = 400;

/// Plays `cases` sequences, or those that the environment asks for.
pub(crate) async fn play(cases: usize, length: usize, stores: Stores) {
    let wanted = number("TASKSHED_SEED");
    let cases = number("TASKSHED_CASES").map_or(cases, |cases| usize::try_from(cases).unwrap());
    let first = wanted.unwrap_or_else(|| rand::random::<u64>() >> 16);
    let count = if wanted.is_some() { 1 } else { cases };
    for case in 0..count {
        let seed = first + case as u64;
        let steps = step::sequence(&mut Dice::of(seed), length);
        if let Err(problem) = game::play(&steps, &stores).await {
            let (steps, problem) = shortest(steps, problem, &stores).await;
            panic!("seed {seed}: {problem}\n{} steps:\n{steps:#?}", steps.len());
        }
    }
}

/// Leaves out ever smaller parts as long as what is left still fails.
async fn shortest(
    mut steps: Vec<Step>,
    mut problem: String,
    stores: &Stores,
) -> (Vec<Step>, String) {
    let mut size = steps.len() / 2;
    let mut tries = 0;
    while size > 0 && tries < TRIES {
        let mut from = 0;
        while from < steps.len() && tries < TRIES {
            tries += 1;
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            match game::play(&fewer, stores).await {
                Err(again) => (steps, problem) = (fewer, again),
                Ok(()) => from += size,
            }
        }
        size /= 2;
    }
    (steps, problem)
}

#[expect(clippy::disallowed_methods, reason = "who replays a seed gives it by the environment")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

//! Processes that are killed while they write.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::dice::Dice;
use crate::file::File;
use crate::process::Process;

/// Kills in one test, unless the environment asks for more or fewer.
const KILLS: usize = 200;

const SEED: u64 = 20_261_124;

#[expect(clippy::disallowed_methods, reason = "who wants another length gives it so")]
fn kills() -> usize {
    std::env::var("TASKSHED_KILLS").map_or(KILLS, |text| text.parse().unwrap())
}

/// Guards T1 and T2: two processes write to one file, one of them is killed again and again at any
/// moment, and nothing that was acknowledged is lost or given to two.
#[tokio::test]
async fn nothing_is_lost_when_writers_are_killed() {
    let file = File::new();
    let mut dice = Dice::of(SEED);
    let mut pair = [0, 1].map(|n| Process::start(&file, &format!("first-{n}")));
    let mut words = Vec::new();

    for kill in 0..kills() {
        let victim = dice.below(2);
        // Some die while they start, the others when they have begun to write.
        if dice.chance(80) {
            pair[victim].hear("added");
        }
        SystemClock.sleep(Duration::from_micros(dice.below(40_000) as u64)).await;
        let next = Process::start(&file, &format!("next-{kill}"));
        words.extend(std::mem::replace(&mut pair[victim], next).kill());
    }

    pair[0].hear("done");
    words.extend(pair.into_iter().flat_map(Process::kill));
    let (added, done) = file.holds(&words).await;
    println!("{added} tasks were added and {done} done by killed processes");
    assert!(added > kills() && done > kills(), "they hardly worked: {added} added, {done} done");
    let refused: Vec<_> = words.iter().filter(|word| word.starts_with("refused")).collect();
    assert!(refused.is_empty(), "a sound file refused calls: {refused:?}");
}

/// Guards T1: processes that start at once make one schema, and none fails.
#[tokio::test]
async fn processes_that_start_at_once_share_a_file() {
    let file = File::new();
    let mut crowd: Vec<_> = (0..6).map(|n| Process::start(&file, &format!("crowd-{n}"))).collect();

    for process in &mut crowd {
        process.hear("done");
    }

    let words: Vec<_> = crowd.into_iter().flat_map(Process::kill).collect();
    let refused: Vec<_> = words.iter().filter(|word| word.starts_with("refused")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    file.holds(&words).await;
}

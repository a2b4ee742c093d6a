//! Seeds that are played with the other tests.

use std::collections::BTreeSet;

use crate::checker::history::write;
use crate::judge::judge;
use crate::missing::Missing;
use crate::run::run;

fn history(seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in run(seed, Missing::Nothing).lines {
        write(&line, &mut bytes).unwrap();
    }
    bytes
}

fn keeps_all_promises(seed: u64) {
    if let Err(fault) = judge(seed, Missing::Nothing) {
        panic!("seed {seed} broke {:?}\n{}", fault.ids, fault.explanation);
    }
}

#[test]
fn a_seed_has_one_history_byte_for_byte() {
    for seed in 1..=12 {
        assert!(history(seed) == history(seed), "seed {seed} has two histories");
    }
}

/// Guards T1 to T10, S1, S2, L1 and N1 to N4. `cargo sim` plays more.
#[test]
fn no_seed_breaks_a_promise() {
    (1..=60).for_each(keeps_all_promises);
}

/// What is found without a safeguard, and the seeds within which it must be.
#[expect(clippy::print_stdout, reason = "who runs it wants to know by what it was found")]
fn is_missed(missing: Missing, by: &[&str], within: u64) {
    let mut found: Option<(u64, BTreeSet<&'static str>)> = None;
    for seed in 1..=within {
        if let Err(fault) = judge(seed, missing) {
            found = Some((seed, fault.ids));
            break;
        }
    }
    let name = missing.name();
    let (seed, ids) = found.unwrap_or_else(|| panic!("nobody misses {name} in {within} seeds"));
    println!("without {name}: {ids:?} after {seed} of {within} seeds");
    assert!(ids.iter().any(|id| by.contains(id)), "without {name}: {ids:?}, not {by:?}");
}

/// Guards N2 and T10: the store's clock was set back by an hour. For as long the term of a leader that
/// had died went on, and tasks that were claimed ahead of their time were held.
#[test]
fn a_clock_that_was_set_back_by_an_hour_holds_nothing_up() {
    [630, 735].into_iter().for_each(keeps_all_promises);
}

/// Guards T9: the store's clock jumped ahead while a holder was cut off. Its lease looked over at once,
/// and was given away while it was still trusted.
#[test]
fn a_clock_that_jumped_ahead_ends_no_lease_that_is_trusted() {
    keeps_all_promises(391);
}

/// Guards N1: a node that drained handed a task back while it still took hints, and took the one for it.
#[test]
fn the_hint_of_what_is_handed_back_is_for_others() {
    keeps_all_promises(72_190);
}

/// Guards N3: a node heard that a lease is lost while its handlers stood still, so it could stop no run.
#[test]
fn a_run_is_stopped_as_soon_as_its_handlers_go_on() {
    keeps_all_promises(62_394);
}

/// Guards T5.
#[test]
fn an_ack_whose_claim_is_not_compared_is_noticed() {
    is_missed(Missing::ClaimAtAck, &["T3", "T5", "T6", "T9"], 40);
}

/// Guards T4.
#[test]
fn a_fence_that_only_counts_is_noticed() {
    is_missed(Missing::FenceByClock, &["T4"], 40);
}

/// Guards T9.
#[test]
fn a_reclaim_after_one_look_is_noticed() {
    is_missed(Missing::SecondLook, &["T9"], 40);
}

/// Guards T3.
#[test]
fn a_reclaim_from_a_snapshot_is_noticed() {
    is_missed(Missing::FreshReclaim, &["T3"], 20);
}

/// Guards T1.
#[test]
fn an_ack_before_the_outcome_is_decided_is_noticed() {
    is_missed(Missing::OutcomeBeforeAck, &["T1"], 20);
}

/// Guards T1.
#[test]
fn an_add_in_parts_is_noticed() {
    is_missed(Missing::WholeAdd, &["T1"], 20);
}

/// Guards L1.
#[test]
fn a_leader_whose_term_is_not_compared_is_noticed() {
    is_missed(Missing::TermCheck, &["L1"], 40);
}

/// Guards T9.
#[test]
fn a_keeper_on_the_runtime_of_handlers_is_noticed() {
    is_missed(Missing::KeeperApart, &["T9"], 40);
}

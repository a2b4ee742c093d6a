//! Histories of tasks.

use serde_json::json;

use crate::hand::Hand;

#[test]
fn a_task_that_is_added_run_and_kept_breaks_nothing() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.complete(20, "n.1", "a", 7);
    hand.dump(20_000, &[("a", "completed")]);

    let figures = hand.holds().figures;

    assert_eq!((figures.scheduled, figures.runs, figures.repeated), (1, 1, 0));
    assert_eq!((figures.accepted, figures.stale, figures.unknown), (1, 0, 0));
}

/// Guards T1.
#[test]
fn a_task_that_was_acknowledged_and_is_gone_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.add(12, "gone", json!({}));
    hand.complete(20, "n.1", "a", 7);
    hand.dump(20_000, &[("a", "completed")]);

    hand.breaks("T1", "task gone was added, and is lost");
}

/// Guards T1: what completed without retention, was removed, or was never acknowledged may be gone.
#[test]
fn a_task_that_may_be_gone_is_not_missed() {
    let mut hand = Hand::new();
    hand.add(10, "done", json!({"retention_us": 0}));
    hand.complete(20, "n.1", "done", 7);
    hand.add(100, "removed", json!({}));
    hand.change(110, "remove", "removed");
    hand.ask(
        120,
        "client",
        json!({"method": "add", "replaces": true, "tasks": [{"task": "unknown"}]}),
    );
    hand.dump(20_000, &[]);

    hand.holds();
}

/// Guards T1.
#[test]
fn a_task_that_is_due_and_waits_for_ever_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "stuck", json!({}));
    hand.dump(60_000, &[("stuck", "scheduled")]);

    hand.breaks("T1", "task stuck is due since 60 s and does not run");
}

/// Guards T2.
#[test]
fn a_run_of_a_task_that_nobody_added_is_found() {
    let mut hand = Hand::new();
    hand.start(20, "n.1", "phantom", (7, 1));
    hand.add(30, "phantom", json!({}));

    hand.breaks("T2", "task phantom ran although nobody had added it");
}

/// Guards T3.
#[test]
fn two_leases_of_one_task_are_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.claim(40, "m.1", "a", 8);

    hand.breaks("T3", "task a is claimed by m.1 while n.1 holds it (fence 7)");
}

/// Guards T3: a reclaim, or an ack whose answer is unknown, may have let it go.
#[test]
fn a_lease_that_may_have_ended_is_no_second_one() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.reclaim(5000, "m.1", "a", (7, 1));
    hand.claim(5010, "m.1", "a", 8);
    let item = json!({"task": "a", "claim": "c8", "fence": 8, "verdict": "retry"});
    hand.ask(5020, "m.1", json!({"method": "ack", "items": [item]}));
    hand.claim(5030, "n.1", "a", 9);

    hand.holds();
}

/// Guards T4.
#[test]
fn a_fence_that_falls_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.ack(30, "n.1", "a", (7, "retry", true));
    hand.claim(40, "m.1", "a", 6);

    hand.breaks("T4", "task a is claimed with fence 6 after 7");
}

/// Guards T4: an id that had gone and comes again after the clock was set back begins anew.
#[test]
fn a_fence_that_falls_with_the_clock_is_found_only_while_the_task_lives() {
    for (added_again, is_fine) in [(true, true), (false, false)] {
        let mut hand = Hand::new();
        hand.add(10, "a", json!({"retention_us": 0}));
        hand.claim(20, "n.1", "a", 90_000_000);
        hand.ack(30, "n.1", "a", (90_000_000, "retry", true));
        hand.claim(32, "n.1", "a", 90_000_001);
        hand.ack(34, "n.1", "a", (90_000_001, if is_fine { "completed" } else { "retry" }, true));
        if added_again {
            hand.add(40, "a", json!({}));
        }
        hand.claim(50, "n.1", "a", 50_000);

        if is_fine {
            hand.holds();
        } else {
            hand.breaks("T4", "task a is claimed with fence 50000 after 90000000");
        }
    }
}

/// Guards T5.
#[test]
fn an_outcome_that_is_accepted_under_a_lost_claim_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.reclaim(5000, "m.1", "a", (7, 1));
    hand.ack(5010, "n.1", "a", (7, "retry", true));

    hand.breaks("T5", "Retry of fence 7 was accepted after its claim was reclaimed");
}

/// Guards T5.
#[test]
fn an_outcome_of_a_run_that_was_replaced_or_removed_is_found() {
    for (what, seen) in [("add", "the task was replaced"), ("remove", "the task was removed")] {
        let mut hand = Hand::new();
        hand.add(10, "a", json!({}));
        hand.claim(20, "n.1", "a", 7);
        match what {
            "add" => hand.add(30, "a", json!({})),
            _ => hand.change(30, "remove", "a"),
        }
        hand.ack(40, "n.1", "a", (7, "retry", true));

        hand.breaks("T5", seen);
    }
}

/// Guards T5.
#[test]
fn a_claim_that_is_prolonged_after_its_reclaim_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.reclaim(5000, "m.1", "a", (7, 1));
    let kept = json!({"how": "kept", "now": 5_010_000, "lost": []});
    hand.call(5010, "n.1", json!({"method": "keep", "claims": ["c7"]}), kept);

    hand.breaks("T5", "claim c7 of n.1 was prolonged after its reclaim");
}

/// Guards T6.
#[test]
fn two_outcomes_for_one_planned_time_are_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({"interval_us": 1_000_000}));
    hand.claim(20, "n.1", "a", 7);
    hand.ack(30, "n.1", "a", (7, "next", true));
    hand.claim(40, "m.1", "a", 8);
    hand.ack(50, "m.1", "a", (8, "next", true));

    hand.breaks("T6", "task a has two accepted outcomes for one planned time: fences 7 and 8");
}

/// Guards T6: a task that is added again may run for the same planned time.
#[test]
fn an_outcome_of_a_task_that_was_added_again_is_no_second_one() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.complete(20, "n.1", "a", 7);
    hand.add(100, "a", json!({}));
    hand.complete(120, "n.1", "a", 8);
    hand.dump(20_000, &[("a", "completed")]);

    hand.holds();
}

/// Guards T7.
#[test]
fn more_attempts_than_allowed_are_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({"max_attempts": 2}));
    for (fence, attempt) in [(7, 1), (8, 2), (9, 3)] {
        let ms = u64::from(attempt) * 100;
        hand.claim_as(ms, "n.1", ("a", fence), json!({"attempt": attempt}));
        hand.start(ms + 10, "n.1", "a", (fence, attempt));
        hand.see(
            ms + 20,
            "n.1",
            json!({"event": "ended", "task": "a", "fence": fence, "how": "failed"}),
        );
        hand.ack(ms + 30, "n.1", "a", (fence, "retry", true));
    }

    hand.breaks("T7", "task a ran in attempt 3");
}

/// Guards T7.
#[test]
fn a_run_after_the_end_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.ack(30, "n.1", "a", (7, "dead", true));
    hand.claim_as(40, "m.1", ("a", 8), json!({"planned": 5, "attempt": 2}));

    hand.breaks("T7", "task a had ended at 0.031000 s and was claimed by m.1 afterwards");

    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.ack(30, "n.1", "a", (7, "dead", true));
    hand.change(35, "retry", "a");
    hand.claim(40, "m.1", "a", 8);
    hand.holds();
}

/// Guards T8.
#[test]
fn a_run_before_its_time_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim_as(20, "n.1", ("a", 7), json!({"planned": 70_000, "run_at": 70_000}));
    hand.start(60, "n.1", "a", (7, 1));

    hand.breaks("T8", "task a started 10000 µs before its run_at on n.1");
}

/// Guards T8.
#[test]
fn a_claim_of_what_was_taken_out_is_found() {
    for (action, word) in [("pause", "paused"), ("cancel", "cancelled"), ("remove", "removed")] {
        let mut hand = Hand::new();
        hand.add(10, "a", json!({}));
        hand.change(20, action, "a");
        hand.claim(30, "n.1", "a", 7);

        hand.breaks(
            "T8",
            &format!("task a was {word} at 0.021000 s and claimed by n.1 afterwards"),
        );
    }
}

/// Guards T8: a claim that was sent before, or one after the pause was undone, is none of these.
#[test]
fn a_claim_beside_a_pause_is_not_after_it() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    let claim = hand.ask(19, "n.1", json!({"method": "claim", "claim": "c7"}));
    hand.change(20, "pause", "a");
    let task =
        json!({"task": "a", "fence": 7, "planned": 0, "run_at": 0, "attempt": 1, "crashes": 0});
    let reply = json!({"how": "claimed", "now": 30_000, "tasks": [task]});
    hand.see(30, "n.1", json!({"event": "answered", "call": claim, "reply": reply}));
    hand.ack(40, "n.1", "a", (7, "retry", true));
    hand.change(50, "resume", "a");
    hand.claim(60, "n.1", "a", 8);

    hand.holds();
}

/// Guards S1.
#[test]
fn a_planned_time_beside_the_grid_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({"interval_us": 1_000_000, "run_at": 0}));
    hand.claim(20, "n.1", "a", 7);
    hand.ack(30, "n.1", "a", (7, "next", true));
    hand.claim_as(1030, "n.1", ("a", 8), json!({"planned": 1_010_000}));

    hand.breaks("S1", "task a planned time 1010000 is not on the grid");
}

/// Guards S1.
#[test]
fn a_planned_time_that_was_left_out_is_found() {
    for (catches_up, planned) in [(true, 2_000_000), (false, 3_000_000)] {
        let mut hand = Hand::new();
        let spec = json!({"interval_us": 1_000_000, "run_at": 0, "catches_up": catches_up});
        hand.add(10, "a", spec);
        hand.claim(20, "n.1", "a", 7);
        hand.ack(1930, "n.1", "a", (7, "next", true));
        hand.claim_as(3030, "n.1", ("a", 8), json!({"planned": planned}));

        hand.breaks("S1", &format!("task a planned time {planned} follows 0"));
    }
}

/// Guards S1: planned times that passed while the task ran may be left out.
#[test]
fn planned_times_that_collapse_are_not_missed() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({"interval_us": 1_000_000, "run_at": 0}));
    hand.claim(20, "n.1", "a", 7);
    let kept = json!({"how": "kept", "now": 3_900_000, "lost": []});
    hand.call(3900, "n.1", json!({"method": "keep", "claims": ["c7"]}), kept);
    hand.ack(3930, "n.1", "a", (7, "next", true));
    hand.claim_as(4030, "n.1", ("a", 8), json!({"planned": 4_000_000}));

    hand.holds();
}

/// Guards S2.
#[test]
fn two_live_tasks_with_one_key_are_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({"unique_key": "k"}));
    hand.add(20, "b", json!({"unique_key": "k"}));

    hand.breaks("S2", "task b was added with the key k of a, which lives");

    let mut hand = Hand::new();
    hand.add(10, "a", json!({"unique_key": "k"}));
    hand.complete(20, "n.1", "a", 7);
    hand.add(60, "b", json!({"unique_key": "k"}));
    hand.holds();
}

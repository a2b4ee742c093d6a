//! Histories of nodes, and of runs side by side.

use serde_json::Value;
use serde_json::json;

use crate::hand::Hand;

fn beat(fence: u64) -> Value {
    json!({"event": "beat", "task": "a", "fence": fence})
}

/// A task that runs on `n.1` with beats, is reclaimed, and runs on `m.1` while `n.1` goes on.
fn overlap(spec: Value, ends: u64) -> Hand {
    let mut hand = Hand::new();
    hand.add(10, "a", spec);
    hand.claim(20, "n.1", "a", 7);
    hand.start(30, "n.1", "a", (7, 1));
    for ms in (1000..ends).step_by(50) {
        hand.see(ms, "n.1", beat(7));
    }
    hand.reclaim(5000, "m.1", "a", (7, 1));
    hand.claim(5010, "m.1", "a", 8);
    hand.start(5020, "m.1", "a", (8, 1));
    hand.see(ends, "n.1", json!({"event": "ended", "task": "a", "fence": 7, "how": "stopped"}));
    hand
}

/// Guards T9.
#[test]
fn exclusive_runs_that_overlap_are_found() {
    overlap(json!({"exclusive": true}), 5300).breaks("T9", "is exclusive and ran on n.1 and m.1");
    overlap(json!({"exclusive": true}), 5000).holds();
}

/// Guards T9: a process that stood still beyond its lease has a blink to notice.
#[test]
fn a_blink_after_a_long_pause_is_no_overlap() {
    for (woken, is_fine) in [(5200, true), (5900, false)] {
        let mut hand = overlap(json!({"exclusive": true}), 100);
        hand.see(woken, "n.1", beat(7));
        let paused = json!({"event": "paused", "process": "n.1", "from": 200_000, "to": 5_100_000});
        hand.see(5100, "chaos", paused);

        if is_fine {
            hand.holds();
        } else {
            hand.breaks("T9", "is exclusive and ran on n.1 and m.1");
        }
    }
}

/// Guards T9: other runs overlap only while their node cannot renew.
#[test]
fn an_overlap_though_the_lease_was_renewed_is_found() {
    assert_eq!(overlap(json!({}), 5300).holds().figures.overlaps, [280_000]);

    let mut hand = overlap(json!({}), 5300);
    let kept = json!({"how": "kept", "now": 4_000_000, "lost": []});
    hand.call(4000, "n.1", json!({"method": "keep", "claims": ["c7"]}), kept);
    hand.breaks("T9", "ran on n.1 and m.1 at once though the lease of the first had been renewed");
}

/// Guards T10.
#[test]
fn a_leftover_is_found() {
    let mut hand = Hand::new();
    hand.see(10, "chaos", json!({"event": "left", "names": ["lease of c7"]}));

    hand.breaks("T10", "lease of c7 is left in a store without tasks");
}

/// Guards L1.
#[test]
fn an_older_term_that_acts_is_found() {
    let mut hand = Hand::new();
    let sweep = |term| json!({"method": "duty", "term": term, "duty": "leases"});
    hand.campaign(10, "n.1", (3, true));
    hand.campaign(12_000, "m.1", (4, true));
    hand.call(12_100, "n.1", sweep(3), json!({"how": "led", "taken": null}));
    let figures = hand.holds().figures;
    assert_eq!(figures.leader_overlap_us, 99_000);

    hand.call(12_200, "n.1", sweep(3), json!({"how": "led", "taken": 0}));
    hand.breaks("L1", "n.1 acted in term 3 at 12.200000 s, after m.1 had in term 4");
}

/// Guards L1.
#[test]
fn a_term_that_falls_or_has_two_holders_is_found() {
    let mut hand = Hand::new();
    hand.campaign(10, "n.1", (4, true));
    hand.campaign(20, "m.1", (3, true));
    hand.breaks("L1", "m.1 acted in term 3");

    let mut hand = Hand::new();
    hand.campaign(10, "n.1", (4, true));
    hand.campaign(20, "m.1", (4, true));
    hand.breaks("L1", "term 4 belongs to n.1 and to m.1");
}

/// Guards N1.
#[test]
fn a_node_that_leaves_with_open_work_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.start(30, "n.1", "a", (7, 1));
    hand.exit(100, "n.1", Some(0));
    hand.breaks("N1", "task a still ran when n.1 left with code 0");

    let mut hand = Hand::new();
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.run((30, 40), "n.1", "a", 7);
    hand.exit(100, "n.1", Some(0));
    hand.reclaim(5000, "m.1", "a", (7, 1));
    hand.breaks("N1", "task a was reclaimed after n.1 had left with code 0");

    let mut hand = Hand::new();
    hand.exit(100, "n.1", Some(101));
    hand.breaks("N1", "n.1 ended with code 101");
}

/// Guards N1: what is handed back runs elsewhere within a second.
#[test]
fn a_task_that_was_handed_back_and_waits_is_found() {
    for (again, is_fine) in [(400, true), (2400, false)] {
        let mut hand = Hand::new();
        hand.add(10, "a", json!({}));
        hand.claim(20, "n.1", "a", 7);
        hand.start(30, "n.1", "a", (7, 1));
        hand.see(200, "chaos", json!({"event": "asked", "process": "n.1"}));
        hand.see(290, "n.1", json!({"event": "ended", "task": "a", "fence": 7, "how": "stopped"}));
        hand.ack(300, "n.1", "a", (7, "release", true));
        hand.exit(320, "n.1", Some(0));
        hand.claim(again, "m.1", "a", 8);
        hand.run((again + 10, again + 20), "m.1", "a", 8);

        if is_fine {
            assert_eq!(hand.holds().figures.handovers, [109_000]);
        } else {
            hand.breaks("N1", "task a was handed back at 0.301000 s and did not run for a second");
        }
    }
}

/// A task of a node that is killed at 1 s runs again at this moment.
fn recovery(again: u64, leader_dies: bool) -> Hand {
    let mut hand = Hand::new();
    let leader = if leader_dies { "n.1" } else { "m.1" };
    hand.campaign(5, leader, (3, true));
    hand.add(10, "a", json!({}));
    hand.claim(20, "n.1", "a", 7);
    hand.start(30, "n.1", "a", (7, 1));
    hand.exit(1000, "n.1", None);
    hand.reclaim(again - 20, "m.1", "a", (7, 3));
    hand.claim(again - 10, "m.1", "a", 8);
    hand.run((again, again + 10), "m.1", "a", 8);
    hand.dump(30_000, &[("a", "completed")]);
    hand
}

/// Guards N2.
#[test]
fn a_recovery_that_takes_too_long_is_found() {
    let found = recovery(5400, false).holds().figures.recoveries;
    assert_eq!((found[0].took, found[0].bound), (4_400_000, 4_500_000));
    recovery(5600, false).breaks("N2", "n.1 died with it at 1.000000 s; it ran again: 5.600000 s");

    let found = recovery(13_400, true).holds().figures.recoveries;
    assert_eq!((found[0].bound, found[0].leader_died), (12_500_000, true));
    recovery(13_600, true).breaks("N2", "it ran again: 13.600000 s");
}

/// Guards N2: a leader that leaves in good order hands over long before it ends, and looks start anew.
#[test]
fn a_recovery_that_waited_for_another_leader_has_its_bound_from_there() {
    for (again, is_fine) in [(7400, true), (7600, false)] {
        let mut hand = Hand::new();
        hand.campaign(5, "m.1", (3, true));
        hand.add(10, "a", json!({}));
        hand.claim(20, "n.1", "a", 7);
        hand.start(30, "n.1", "a", (7, 1));
        hand.exit(1000, "n.1", None);
        hand.campaign(5000, "o.1", (4, true));
        hand.reclaim(again - 20, "o.1", "a", (7, 4));
        hand.claim(again - 10, "o.1", "a", 8);
        hand.run((again, again + 10), "o.1", "a", 8);
        hand.exit(8000, "m.1", Some(0));
        hand.dump(30_000, &[("a", "completed")]);

        if is_fine {
            assert_eq!(hand.holds().figures.recoveries[0].bound, 6_501_000);
        } else {
            hand.breaks("N2", "it ran again: 7.600000 s");
        }
    }
}

/// Guards N2: who died before it heard that it was elected may have led.
#[test]
fn a_recovery_that_waited_for_a_term_that_nobody_saw_has_its_bound_from_there() {
    for (again, is_fine) in [(13_400, true), (13_600, false)] {
        let mut hand = recovery(again, false);
        hand.ask(998, "n.1", json!({"method": "campaign"}));

        if is_fine {
            assert!(hand.holds().figures.recoveries[0].leader_died);
        } else {
            hand.breaks("N2", "it ran again: 13.600000 s");
        }
    }
}

/// Guards N3.
#[test]
fn a_lost_run_that_goes_on_is_found() {
    for (ends, is_fine) in [(5900, true), (6100, false)] {
        let mut hand = overlap(json!({}), ends);
        let kept = json!({"how": "kept", "now": 5_030_000, "lost": ["c7"]});
        hand.call(5030, "n.1", json!({"method": "keep", "claims": ["c7"]}), kept);

        if is_fine {
            hand.holds();
        } else {
            hand.breaks("N3", "task a lost its lease at 5.031000 s and ran until 6.100000 s");
        }
    }
}

/// Guards N3: nothing can be stopped while what it runs on stands still, and everything right after.
#[test]
fn a_lost_run_is_stopped_when_its_handlers_go_on() {
    for (ends, is_fine) in [(7300, true), (7600, false)] {
        let mut hand = overlap(json!({}), ends);
        let kept = json!({"how": "kept", "now": 5_030_000, "lost": ["c7"]});
        hand.call(5030, "n.1", json!({"method": "keep", "claims": ["c7"]}), kept);
        let blocked =
            json!({"event": "blocked", "process": "n.1", "from": 5_000_000, "to": 6_500_000});
        hand.see(8000, "chaos", blocked);

        if is_fine {
            hand.holds();
        } else {
            hand.breaks("N3", "task a lost its lease at 5.031000 s and ran until 7.600000 s");
        }
    }
}

/// Guards N4.
#[test]
fn a_task_that_dies_with_a_killer_is_found() {
    let mut hand = Hand::new();
    hand.add(10, "killer", json!({"kills": true}));
    hand.add(20, "a", json!({}));
    let dead = |task| json!({"task": task, "state": "dead", "run_at": 0, "crashes": 5});
    let tasks = [dead("killer"), dead("a")];
    hand.see(9000, "chaos", json!({"event": "dumped", "now": 9_000_000, "tasks": tasks}));

    hand.breaks("N4", "task a kills no node and is dead because its nodes died");
}

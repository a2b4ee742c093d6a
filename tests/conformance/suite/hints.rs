//! Who is told that there is something to claim.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use taskshed::domain::state::Outcome;
use taskshed::domain::time::Moment;
use taskshed::store::Action;
use taskshed::store::Beat;
use taskshed::store::Claim;
use taskshed::store::Gate;
use taskshed::store::Hints;
use taskshed::store::Keep;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim_id;
use crate::requests::beat;
use crate::requests::claim;
use crate::requests::claim_of;
use crate::requests::of;
use crate::requests::process;
use crate::requests::queue;
use crate::requests::task;

/// Long enough for a hint that was given to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// Long enough to be sure enough that none comes.
const SILENT_FOR: Duration = Duration::from_millis(150);

struct Waiter {
    name: &'static str,
    hints: Box<dyn Hints>,
}

impl Waiter {
    async fn of(shed: &Shed, name: &'static str) -> Self {
        let hints = shed.store.hints(&process(name)).await.unwrap();
        Self { name, hints: hints.expect("these stores can tell") }
    }

    /// One that waits already.
    async fn waiting(shed: &Shed, name: &'static str) -> Self {
        let waiter = Self::of(shed, name).await;
        waiter.wait(shed).await;
        waiter
    }

    async fn wait(&self, shed: &Shed) {
        shed.claim(&Claim { wait: true, ..claim_of(self.name) }).await;
    }

    async fn hears(&mut self, what: &str) {
        timeout(ARRIVES_WITHIN, self.hints.next()).await.expect(what).unwrap();
    }

    async fn hears_nothing(&mut self, what: &str) {
        assert!(timeout(SILENT_FOR, self.hints.next()).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn as_many_waiting_processes_are_told_as_there_are_tasks() {
    let shed = super::shed().await;
    let mut waiters = Vec::new();
    for name in ["node-1", "node-2", "node-3", "node-4"] {
        waiters.push(Waiter::waiting(&shed, name).await);
    }

    shed.add([task("a"), task("b")]).await;

    let mut told = 0;
    for waiter in &mut waiters {
        told += usize::from(timeout(2 * SILENT_FOR, waiter.hints.next()).await.is_ok());
    }
    assert_eq!(told, 2);
}

#[tokio::test]
async fn who_did_not_say_that_it_waits_is_not_told() {
    let shed = super::shed().await;
    let mut waiter = Waiter::of(&shed, "node-1").await;
    shed.claim(&claim_of("node-1")).await;

    shed.add([task("a")]).await;

    waiter.hears_nothing("it never waited").await;
}

#[tokio::test]
async fn any_other_claim_takes_a_process_out() {
    let shed = super::shed().await;
    let mut waiter = Waiter::waiting(&shed, "node-1").await;
    shed.claim(&claim_of("node-1")).await;

    shed.add([task("a")]).await;

    waiter.hears_nothing("it does not wait any more").await;
}

#[tokio::test]
async fn a_claim_that_was_filled_does_not_wait() {
    let shed = super::shed().await;
    let mut waiter = Waiter::of(&shed, "node-1").await;
    shed.add([task("a")]).await;
    shed.claim(&Claim { wait: true, limit: 1, ..claim_of("node-1") }).await;

    shed.add([task("b")]).await;

    waiter.hears_nothing("it had no room").await;
}

#[tokio::test]
async fn a_claim_that_only_parked_tasks_waits() {
    let shed = super::shed().await;
    let mut waiter = Waiter::of(&shed, "node-1").await;
    shed.add([of("resize", "a")]).await;
    shed.claim(&Claim { wait: true, limit: 1, ..claim_of("node-1") }).await;

    shed.add([task("b")]).await;

    waiter.hears("it took less than its limit").await;
}

#[tokio::test]
async fn a_process_that_looks_by_itself_in_time_is_not_told() {
    let shed = super::shed().await;
    shed.add([task("soon").run_in(SECOND)]).await;
    let mut waiter = Waiter::waiting(&shed, "node-1").await;

    shed.add([task("later").run_in(2 * SECOND)]).await;
    waiter.hears_nothing("it wakes before").await;
    shed.add([task("sooner").run_in(SECOND / 2)]).await;
    waiter.hears("it would sleep too long").await;
    waiter.wait(&shed).await;
    shed.add([task("last").run_in(3 * SECOND), task("first"), task("next").run_in(SECOND)]).await;
    waiter.hears("one of them is due").await;
}

#[tokio::test]
async fn who_would_sleep_longest_is_told_first() {
    let shed = super::shed().await;
    let mut long = Waiter::waiting(&shed, "node-long").await;
    shed.add([task("soon").run_in(SECOND)]).await;
    long.hears("there is something for later").await;
    long.wait(&shed).await;
    let mut longest = Waiter::of(&shed, "node-longest").await;
    let elsewhere = Claim { queues: vec![queue("mail"), queue("default")], ..claim() };
    let elsewhere = Claim { holder: claim_of("node-longest").holder, wait: true, ..elsewhere };
    shed.change(Action::Pause, &["soon"]).await;
    shed.claim(&elsewhere).await;

    shed.add([task("a")]).await;

    longest.hears("it has no reason to wake").await;
    long.hears_nothing("one task needs one process").await;
}

#[tokio::test]
async fn only_who_has_the_callback_and_the_queue_is_told() {
    let shed = super::shed().await;
    let mut plain = Waiter::waiting(&shed, "node-plain").await;
    let mut able = Waiter::of(&shed, "node-able").await;
    let callbacks = Some(Arc::from(["resize".parse().unwrap()]));
    shed.claim(&Claim { wait: true, callbacks, ..claim_of("node-able") }).await;
    let mut mail = Waiter::of(&shed, "node-mail").await;
    let queues = vec![queue("mail")];
    shed.claim(&Claim { wait: true, queues, ..claim_of("node-mail") }).await;

    shed.add([of("resize", "a")]).await;
    able.hears("it has the callback").await;
    plain.hears_nothing("it has not").await;
    shed.add([task("b").queue("mail")]).await;
    mail.hears("it serves the queue").await;
    plain.hears_nothing("it does not").await;
    shed.add([task("c")]).await;
    plain.hears("that one is for it").await;
}

/// A process that is gone does not swallow a hint.
#[tokio::test]
async fn a_hint_goes_to_a_process_that_listens() {
    let shed = super::shed().await;
    let mut alive = Waiter::waiting(&shed, "node-1").await;
    for gone in ["node-0", "node-2"] {
        shed.claim(&Claim { wait: true, ..claim_of(gone) }).await;
        drop(Waiter::of(&shed, gone).await);
    }
    tokio::task::yield_now().await;

    shed.add([task("a"), task("b"), task("c")]).await;

    alive.hears("it is the only one that can").await;
}

/// Guards N1: what is handed back right after a process stopped listening is told to others.
#[tokio::test]
async fn who_has_stopped_listening_takes_no_hint() {
    let shed = super::shed().await;
    let mut alive = Waiter::waiting(&shed, "node-1").await;
    for gone in ["node-0", "node-2"] {
        let waiter = Waiter::waiting(&shed, gone).await;
        waiter.hints.end().await;
    }

    shed.add([task("a")]).await;

    alive.hears("it is the only one that can").await;
}

#[tokio::test]
async fn a_process_that_leaves_does_not_wait_any_more() {
    let shed = super::shed().await;
    let mut waiter = Waiter::waiting(&shed, "node-1").await;
    let last = Beat { leaving: true, ..beat("node-1") };
    let keep = Keep { beat: Some(last), claims: Vec::new(), ttl: SECOND };
    shed.store.keep(&keep).await.unwrap();

    shed.add([task("a")]).await;

    waiter.hears_nothing("it has left").await;
}

#[tokio::test]
async fn whatever_a_user_does_to_make_a_task_claimable_gives_a_hint() {
    let shed = super::shed().await;
    let mut waiter = Waiter::of(&shed, "node-1").await;
    shed.add([task("a").paused(), task("b").run_in(60 * SECOND), task("c")]).await;
    shed.change(Action::Cancel, &["c"]).await;

    for (what, action, id) in [
        ("resume", Action::Resume, "a"),
        ("reschedule", Action::Reschedule(Moment::In(Duration::ZERO)), "b"),
        ("retry", Action::Retry, "c"),
    ] {
        waiter.wait(&shed).await;
        shed.change(action, &[id]).await;
        waiter.hears(what).await;
    }
}

#[tokio::test]
async fn an_opened_queue_gives_hints() {
    let shed = super::shed().await;
    shed.store.set_queue(&queue("default"), Gate::Paused).await.unwrap();
    shed.add([task("a"), task("b")]).await;
    let mut first = Waiter::waiting(&shed, "node-1").await;
    let mut second = Waiter::waiting(&shed, "node-2").await;

    shed.store.set_queue(&queue("default"), Gate::Open).await.unwrap();

    first.hears("opened").await;
    second.hears("opened").await;
}

#[tokio::test]
async fn runs_that_are_handed_back_or_reclaimed_give_hints() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    let mut waiter = Waiter::waiting(&shed, "node-1").await;

    shed.end(&run, Outcome::Released).await;
    waiter.hears("released").await;
    let run = shed.claim(&claim()).await.tasks.remove(0);
    waiter.wait(&shed).await;
    shed.clock.advance(11 * SECOND);
    shed.reclaim(claim_id(&run)).await;
    waiter.hears("reclaimed").await;
}

/// Guards T3: no hint before the old run lets go.
#[tokio::test]
async fn a_successor_gives_a_hint_when_the_old_run_lets_go() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    let mut waiter = Waiter::waiting(&shed, "node-1").await;

    shed.add([task("a")]).await;
    waiter.hears_nothing("it cannot be claimed yet").await;
    shed.complete(&run).await;
    waiter.hears("the old run let go").await;
}

#[tokio::test]
async fn a_claim_that_leaves_due_tasks_behind_gives_a_hint() {
    let shed = super::shed().await;
    let mut told = Vec::new();
    let mut untold = Vec::new();
    let mut waiters = Vec::new();
    for name in ["node-1", "node-2", "node-3"] {
        waiters.push(Waiter::waiting(&shed, name).await);
    }
    shed.add([task("a"), task("b")]).await;
    for mut waiter in waiters {
        let heard = timeout(2 * SILENT_FOR, waiter.hints.next()).await.is_ok();
        if heard { told.push(waiter) } else { untold.push(waiter) }
    }
    assert_eq!((told.len(), untold.len()), (2, 1));

    let first = shed.claim(&Claim { limit: 1, ..claim_of(told[0].name) }).await;

    assert!(first.more);
    untold[0].hears("the other one that was told may have died").await;
}

/// Whoever meets a task that it cannot run passes it on.
#[tokio::test]
async fn a_task_that_is_parked_gives_a_hint_to_who_has_its_callback() {
    let shed = super::shed().await;
    shed.store.set_queue(&queue("default"), Gate::Paused).await.unwrap();
    shed.add([of("resize", "a")]).await;
    let mut able = Waiter::of(&shed, "node-able").await;
    let callbacks = Some(Arc::from(["resize".parse().unwrap()]));
    shed.claim(&Claim { wait: true, callbacks, ..claim_of("node-able") }).await;
    let mut plain = Waiter::waiting(&shed, "node-plain").await;
    shed.store.set_queue(&queue("default"), Gate::Open).await.unwrap();
    plain.hears("of an ordinary lane it cannot be told who can").await;
    able.hears_nothing("one task needs one process").await;

    assert!(shed.claim(&claim_of("node-plain")).await.tasks.is_empty());

    able.hears("it was parked").await;
}

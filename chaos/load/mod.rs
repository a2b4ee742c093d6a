//! What users do while the cluster is broken: they add, change, replace and remove tasks of all sorts.

mod sort;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store::Existing;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::history::Action;
use crate::dice::Dice;
use crate::witness::Client;

pub(crate) use sort::GROUPS;
pub(crate) use sort::RECURRING;
pub(crate) use sort::blocking;
pub(crate) use sort::killing;
use sort::one_off;
use sort::recurring;

/// Users that add tasks at the same time.
const ADDERS: usize = 2;

/// Ids that were added lately, from which those who change tasks choose.
const RECENT: usize = 60;

/// Users of a cluster.
#[derive(Debug)]
pub(crate) struct Load {
    users: JoinSet<()>,
    stop: CancellationToken,
}

/// Ids that were added lately.
type Recent = Arc<Mutex<Vec<String>>>;

impl Load {
    /// Adds recurring tasks, and starts users, each with what `client` opens.
    pub(crate) async fn start(clients: Vec<Client>, dice: &mut Dice) -> Self {
        let (stop, recent) = (CancellationToken::new(), Recent::default());
        let mut users = JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            if number == 0 {
                let tasks = (0..RECURRING).map(|n| recurring(n, dice)).collect();
                client.add(tasks, Existing::Keep).await;
            }
            let (dice, recent, stop) = (Dice::of(dice.roll()), Arc::clone(&recent), stop.clone());
            if number < ADDERS {
                users.spawn(add(client, number, dice, recent, stop));
            } else {
                users.spawn(change(client, dice, recent, stop));
            }
        }
        Self { users, stop }
    }

    /// How many clients a load needs.
    pub(crate) const CLIENTS: usize = ADDERS + 1;

    /// Lets the users finish what they are at.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.users.join_next().await.is_some() {}
    }
}

async fn add(client: Client, who: usize, mut dice: Dice, recent: Recent, stop: CancellationToken) {
    let mut number = 0;
    while !stop.is_cancelled() {
        let count = 1 + dice.below(4);
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                number += 1;
                one_off(&format!("t{who}-{number}"), &mut dice)
            })
            .collect();
        let ids = tasks.iter().map(|(_, spec)| spec.task.clone());
        {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.extend(ids);
            let extra = recent.len().saturating_sub(RECENT);
            recent.drain(..extra);
        }
        let existing = if dice.chance(80) { Existing::Replace } else { Existing::Keep };
        client.add(tasks, existing).await;
        pause(&stop, 20 + dice.below(80) as u64).await;
    }
}

async fn change(client: Client, mut dice: Dice, recent: Recent, stop: CancellationToken) {
    while !stop.is_cancelled() {
        pause(&stop, 50 + dice.below(150) as u64).await;
        let ids = {
            let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.is_empty() {
                continue;
            }
            let mut ids: Vec<_> = (0..=dice.below(3)).map(|_| dice.pick(&recent)).collect();
            ids.sort();
            ids.dedup();
            ids
        };
        let group = dice.maybe(15, |dice| dice.pick(&GROUPS));
        let of = |group: Option<&'static str>| group.map_or(ids.clone(), |_| Vec::new());
        match dice.below(100) {
            0..25 => {
                client.change(Action::Pause, &of(group), group).await;
                pause(&stop, dice.below(300) as u64).await;
                client.change(Action::Resume, &of(group), group).await;
            }
            25..40 => client.change(Action::Cancel, &ids, None).await,
            40..50 => client.change(Action::Remove, &ids, None).await,
            50..65 => client.change(Action::Retry, &of(group), group).await,
            65..75 => client.change(Action::Reschedule, &ids, None).await,
            75..80 => {
                let id = format!("r-{}", dice.below(RECURRING));
                client.change(Action::Pause, std::slice::from_ref(&id), None).await;
                pause(&stop, dice.below(1000) as u64).await;
                client.change(Action::Resume, &[id], None).await;
            }
            _ => {
                let again = ids.iter().map(|id| one_off(id, &mut dice)).collect();
                client.add(again, Existing::Replace).await;
            }
        }
    }
}

async fn pause(stop: &CancellationToken, ms: u64) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = SystemClock.sleep(Duration::from_millis(ms)) => {}
    }
}

//! What happens on this node, kept for a while for those who follow it.
//!
//! Nothing is kept until somebody follows. From then on the last events are, so that a follower who was
//! cut off can go on where it was; a while after the last one has gone, all is dropped. Ids name the
//! spell, so an id of another spell or process is known as such, and the follower is told to look anew.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::events::Events;

use super::wire::event;

/// How many events are kept.
const KEPT: usize = 1000;

/// How long they are kept after the last follower has gone.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// What a follower gets when nothing happens, so that dead connections are found.
const SIGN_OF_LIFE: &str = ":\n\n";

/// How often.
const SIGN_EVERY: Duration = Duration::from_secs(15);

/// The last events. Cheap to clone; clones are one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Something was written, a follower came or went, or all is over.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Name of the spell; empty while nobody listens.
    spell: String,
    /// The first spell's subscription, until the keeper takes it.
    receiver: Option<Receiver<Event>>,
    kept: VecDeque<Arc<str>>,
    /// Number of the event that comes next; the first one is 1.
    next: u64,
    followers: usize,
    /// Nothing comes any more.
    is_closed: bool,
}

impl State {
    /// Number of the oldest event that is kept.
    fn first(&self) -> u64 {
        self.next - u64::try_from(self.kept.len()).unwrap_or(0)
    }

    fn push(&mut self, event: &Event, at: Timestamp) {
        let (name, mut data) = event::show(event);
        data["at"] = json!(at);
        let mut text = String::new();
        let _never_fails =
            write!(text, "id: {}-{}\nevent: {name}\ndata: {data}\n\n", self.spell, self.next);
        self.kept.push_back(text.into());
        self.next += 1;
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Events were lost: whoever follows is told so.
    fn skip(&mut self, count: u64) {
        self.kept.clear();
        self.next += count;
    }
}

/// One who follows.
pub(super) struct Follower {
    log: Log,
    clock: Arc<dyn Clock>,
    spell: String,
    /// Number of the event that it gets next.
    next: u64,
    /// Whether it is to be told that it missed some.
    missed: bool,
}

impl Log {
    /// Lets somebody follow: from now on, or from after the event with the id `last`. `spell` is a name
    /// for a new spell.
    pub(super) fn follow(
        &self,
        events: &Events,
        last: Option<&str>,
        spell: &str,
        clock: Arc<dyn Clock>,
    ) -> Follower {
        let mut state = self.state();
        if state.spell.is_empty() {
            state.receiver = Some(events.listen());
            state.next = 1;
            spell.clone_into(&mut state.spell);
        }
        state.followers += 1;
        let known = last.map(|last| {
            let (spell, number) = last.rsplit_once('-')?;
            let next = number.parse::<u64>().ok()?.checked_add(1)?;
            let is_kept = spell == state.spell && (state.first()..=state.next).contains(&next);
            is_kept.then_some(next)
        });
        let missed = known == Some(None);
        let next = known.flatten().unwrap_or(state.next);
        let spell = state.spell.clone();
        drop(state);
        self.0.changed.notify_waiters();
        Follower { log: self.clone(), clock, spell, next, missed }
    }

    /// Writes down what happens while somebody follows, and a while longer, until `closing`. Then whoever
    /// follows gets what was told before, and no more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses events, and followers wait in vain.
    pub(super) async fn keep(&self, clock: &dyn Clock, closing: &CancellationToken) {
        loop {
            let changed = self.0.changed.notified();
            let receiver = self.state().receiver.take();
            if let Some(receiver) = receiver {
                self.spell(receiver, clock, closing).await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = closing.cancelled() => break,
            }
        }
        self.state().is_closed = true;
        self.0.changed.notify_waiters();
    }

    async fn spell(
        &self,
        mut receiver: Receiver<Event>,
        clock: &dyn Clock,
        closing: &CancellationToken,
    ) {
        let mut ends_at = None;
        loop {
            let changed = self.0.changed.notified();
            let now = clock.steady();
            ends_at = match self.state().followers {
                0 => ends_at.or(Some(now + KEPT_FOR)),
                _ => None,
            };
            let left = ends_at.map_or(KEPT_FOR, |ends_at: Duration| ends_at.saturating_sub(now));
            if left.is_zero() {
                break;
            }
            tokio::select! {
                biased;
                heard = receiver.recv() => self.write_down(heard, clock.wall()),
                () = closing.cancelled() => return,
                () = changed => {}
                () = clock.sleep(left) => {}
            }
        }
        *self.state() = State::default();
        self.0.changed.notify_waiters();
    }

    fn write_down(&self, heard: Result<Event, RecvError>, at: Timestamp) {
        let mut state = self.state();
        match heard {
            Ok(event) => state.push(&event, at),
            Err(RecvError::Lagged(count)) => state.skip(count),
            // The API has the other end.
            Err(RecvError::Closed) => {}
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// What is said first: where to go on from if nothing comes before a cut, and when to ask again.
    pub(super) fn greeting(&self) -> String {
        format!("id: {}-{}\nretry: 1000\n\n", self.spell, self.next - 1)
    }

    /// What comes next; `None` when the server closes and nothing comes any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<String> {
        let log = self.log.clone();
        loop {
            let changed = log.0.changed.notified();
            match self.news() {
                Some(text) => return Some(text),
                None if log.state().is_closed => return None,
                None => {}
            }
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep(SIGN_EVERY) => return Some(SIGN_OF_LIFE.into()),
            }
        }
    }

    fn news(&mut self) -> Option<String> {
        let state = self.log.state();
        if self.spell != state.spell || self.next < state.first() {
            self.missed = true;
            self.spell.clone_from(&state.spell);
            self.next = state.next;
        }
        if self.missed {
            self.missed = false;
            let last = self.next.saturating_sub(1);
            return Some(format!("id: {}-{last}\nevent: reset\ndata: {{}}\n\n", self.spell));
        }
        let skipped = usize::try_from(self.next - state.first()).unwrap_or(usize::MAX);
        let text: String = state.kept.iter().skip(skipped).map(|event| &**event).collect();
        self.next = state.next;
        (!text.is_empty()).then_some(text)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.followers = state.followers.saturating_sub(1);
        drop(state);
        self.log.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::id::NodeName;

    #[tokio::test]
    async fn what_was_told_before_the_end_is_heard_before_the_end() {
        let (log, events, closing) = (Log::default(), Events::default(), CancellationToken::new());
        let mut follower = log.follow(&events, None, "s", Arc::new(SystemClock));

        events.tell(Event::Left { node: NodeName::parse("anna").unwrap() });
        closing.cancel();
        tokio::join!(log.keep(&SystemClock, &closing), async {
            let told = follower.next().await.unwrap_or_default();
            assert!(told.starts_with("id: s-1\nevent: node.left\n"), "{told}");
            assert_eq!(follower.next().await, None);
        });
    }
}

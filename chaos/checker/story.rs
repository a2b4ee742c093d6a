//! A history taken apart: what happened to each task, in the order of the steady clock.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::history::Acked;
use super::history::Action;
use super::history::Added;
use super::history::Call;
use super::history::Claimed;
use super::history::End;
use super::history::Event;
use super::history::Judged;
use super::history::Kept;
use super::history::Line;
use super::history::Outcome;
use super::history::Phase;
use super::history::Reply;
use super::history::Setting;
use super::history::Started;
use super::history::Verdict;

/// A moment after all others.
pub(crate) const NEVER: u64 = u64::MAX;

/// All that a history tells.
#[derive(Debug, Default)]
pub(crate) struct Story<'a> {
    pub(crate) setting: Setting,
    pub(crate) tasks: BTreeMap<&'a str, Task<'a>>,
    pub(crate) processes: BTreeMap<&'a str, Process<'a>>,
    /// Calls in the order in which they were sent.
    pub(crate) calls: Vec<Span<'a>>,
    /// The process of each claim.
    pub(crate) holders: HashMap<&'a str, &'a str>,
    pub(crate) faults: Vec<Fault>,
    /// What clocks showed: sent, answered, the store's now.
    pub(crate) sights: Vec<(u64, u64, i64)>,
    pub(crate) dump: Option<Dump<'a>>,
    pub(crate) left: Option<&'a [String]>,
    /// When the last line was written.
    pub(crate) end: u64,
}

/// A call from its sending to its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) by: &'a str,
    pub(crate) what: &'a Call,
    pub(crate) sent: u64,
    /// When its answer came; of one without an answer when that was known, or never.
    pub(crate) answered: u64,
    pub(crate) reply: Option<&'a Reply>,
}

/// What happened to one task.
#[derive(Debug, Default)]
pub(crate) struct Task<'a> {
    pub(crate) adds: Vec<Add<'a>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) taken: Vec<Taken<'a>>,
    pub(crate) acks: Vec<Ack<'a>>,
    pub(crate) reclaims: Vec<Reclaim<'a>>,
    pub(crate) runs: Vec<Run<'a>>,
}

/// When something may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Not before.
    pub(crate) from: u64,
    /// Not after; never for a call whose answer is unknown.
    pub(crate) to: u64,
}

/// A task was added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Add<'a> {
    pub(crate) when: Window,
    pub(crate) spec: &'a Added,
    /// What it was answered; `None` if that is unknown.
    pub(crate) outcome: Option<Outcome>,
}

/// A user changed a task, or may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) when: Window,
    pub(crate) action: Action,
    /// Whether the answer says that it was done to this task.
    pub(crate) is_sure: bool,
}

/// A claim took a task. The window opens when the claim was first sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) when: Window,
    pub(crate) by: &'a str,
    pub(crate) claim: &'a str,
    /// What the store's clock showed.
    pub(crate) now: i64,
    pub(crate) task: &'a Claimed,
}

/// An outcome was handed back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) when: Window,
    pub(crate) item: &'a Acked,
    /// Whether it was accepted; `None` if that is unknown.
    pub(crate) done: Option<bool>,
}

/// A leader took a task back, or may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reclaim<'a> {
    pub(crate) when: Window,
    pub(crate) claim: &'a str,
    /// `None` for a task that the leader did not judge because it was replaced or removed.
    pub(crate) verdict: Option<Verdict>,
    /// Whether the answer says that all tasks it judged were taken.
    pub(crate) is_sure: bool,
}

/// A handler ran a task.
#[derive(Clone, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) by: &'a str,
    pub(crate) at: u64,
    pub(crate) start: &'a Started,
    /// When it showed that it goes on.
    pub(crate) beats: Vec<u64>,
    pub(crate) end: Option<(u64, End)>,
}

/// The life of a process.
#[derive(Debug, Default)]
pub(crate) struct Process<'a> {
    pub(crate) node: &'a str,
    /// When it was ready.
    pub(crate) joined: Option<u64>,
    pub(crate) asked: Option<u64>,
    /// When it ended, with which code; no code for a signal.
    pub(crate) exited: Option<(u64, Option<i32>)>,
    pub(crate) pauses: Vec<(u64, u64)>,
    /// When its handlers stood still and the rest of it did not.
    pub(crate) blocks: Vec<(u64, u64)>,
}

/// A fault that acts for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    number: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What the store holds at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dump<'a> {
    pub(crate) at: u64,
    pub(crate) now: i64,
    pub(crate) tasks: &'a [Kept],
}

impl Window {
    /// Whether it may have happened between two moments.
    pub(crate) fn may_be_in(&self, from: u64, to: u64) -> bool {
        self.from < to && self.to > from
    }

    /// Whether it surely happened before another one began.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.to < other.from
    }
}

impl Span<'_> {
    /// When it may have had its effect; `None` if it was refused.
    pub(crate) fn window(&self) -> Option<Window> {
        match self.reply {
            Some(Reply::Failed { .. }) => None,
            Some(Reply::Unknown { .. }) | None => Some(Window { from: self.sent, to: NEVER }),
            Some(_) => Some(Window { from: self.sent, to: self.answered }),
        }
    }
}

impl Task<'_> {
    /// Whether a user may have given the task a new life between two moments.
    pub(crate) fn is_renewed(&self, from: u64, to: u64) -> bool {
        self.adds.iter().any(|add| add.when.may_be_in(from, to))
            || self
                .changes
                .iter()
                .any(|change| change.action == Action::Retry && change.when.may_be_in(from, to))
    }

    /// The spec that the task had when something began: of the last add before it.
    pub(crate) fn spec_at(&self, at: u64) -> Option<&Added> {
        let before = self.adds.iter().rfind(|add| add.when.from <= at && add.outcome.is_some());
        before.or(self.adds.first()).map(|add| add.spec)
    }

    /// The claim under which a run with this fence runs.
    pub(crate) fn taken_with(&self, fence: u64) -> Option<&Taken<'_>> {
        self.taken.iter().find(|taken| taken.task.fence == fence)
    }
}

impl Run<'_> {
    /// The last moment at which it is known to have run.
    pub(crate) fn last_sign(&self) -> u64 {
        let beat = self.beats.last().copied().unwrap_or(self.at);
        self.end.map_or(beat, |(at, _)| at.max(beat))
    }
}

impl<'a> Story<'a> {
    /// Takes a history apart. Its lines must stand in the order of their moments.
    pub(crate) fn of(lines: &'a [Line]) -> Self {
        let mut story = Self::default();
        let mut open = HashMap::new();
        for line in lines {
            story.end = story.end.max(line.at);
            match &line.event {
                Event::Invoked { call, what } => {
                    open.insert((line.by.as_str(), *call), story.calls.len());
                    let (by, sent) = (line.by.as_str(), line.at);
                    story.calls.push(Span { by, what, sent, answered: NEVER, reply: None });
                }
                Event::Answered { call, reply } => {
                    if let Some(at) = open.remove(&(line.by.as_str(), *call)) {
                        let span = &mut story.calls[at];
                        (span.answered, span.reply) = (line.at, Some(reply));
                    }
                }
                event => story.note(line, event),
            }
        }
        story.settle_calls();
        for task in story.tasks.values_mut() {
            task.adds.sort_by_key(|add| add.when.to);
            task.taken.sort_by_key(|taken| taken.when.to);
            task.acks.sort_by_key(|ack| ack.when.from);
        }
        story
    }

    /// Takes in an event that is no call.
    fn note(&mut self, line: &'a Line, event: &'a Event) {
        match event {
            Event::Setting(setting) => self.setting = setting.clone(),
            Event::Joined { node, .. } => {
                let process = self.process(&line.by);
                (process.node, process.joined) = (node, Some(line.at));
            }
            Event::Exited { process, code, .. } => {
                self.process(process).exited = Some((line.at, *code));
            }
            Event::Paused { process, from, to } => {
                self.process(process).pauses.push((*from, *to));
            }
            Event::Blocked { process, from, to } => {
                self.process(process).blocks.push((*from, *to));
            }
            Event::Asked { process } => self.process(process).asked = Some(line.at),
            Event::Fault { number, phase, .. } => {
                let (number, at) = (*number, line.at);
                let known = self.faults.iter_mut().find(|known| known.number == number);
                match (phase, known) {
                    (Phase::Over, Some(known)) => known.to = at,
                    _ => self.faults.push(Fault { number, from: at, to: NEVER }),
                }
            }
            Event::Dumped { now, tasks } => {
                self.dump = Some(Dump { at: line.at, now: *now, tasks });
            }
            Event::Left { names } => self.left = Some(names),
            Event::Started(start) => {
                let (by, at) = (line.by.as_str(), line.at);
                let run = Run { by, at, start, beats: Vec::new(), end: None };
                self.task(&start.task).runs.push(run);
            }
            Event::Beat { task, fence } => {
                if let Some(run) = self.run(&line.by, task, *fence) {
                    run.beats.push(line.at);
                }
            }
            Event::Ended { task, fence, how } => {
                if let Some(run) = self.run(&line.by, task, *fence) {
                    run.end = Some((line.at, *how));
                }
            }
            Event::Invoked { .. } | Event::Answered { .. } => {}
        }
    }

    fn task(&mut self, id: &'a str) -> &mut Task<'a> {
        self.tasks.entry(id).or_default()
    }

    fn process(&mut self, name: &'a str) -> &mut Process<'a> {
        self.processes.entry(name).or_default()
    }

    fn run(&mut self, by: &'a str, task: &'a str, fence: u64) -> Option<&mut Run<'a>> {
        let runs = &mut self.task(task).runs;
        runs.iter_mut().rfind(|run| run.by == by && run.start.fence == fence)
    }

    /// Hands each call to the tasks that it is about.
    fn settle_calls(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        let mut first_sent = HashMap::new();
        for span in &calls {
            if let Some(
                Reply::Claimed { now, .. } | Reply::Kept { now, .. } | Reply::Leads { now, .. },
            ) = span.reply
            {
                self.sights.push((span.sent, span.answered, *now));
            }
            let Some(when) = span.window() else { continue };
            match span.what {
                Call::Add { tasks, .. } => self.note_add(span, when, tasks),
                Call::Claim { claim } => {
                    self.holders.insert(claim, span.by);
                    let sent = *first_sent.entry(claim.as_str()).or_insert(span.sent);
                    self.note_claim(span, Window { from: sent, ..when }, claim);
                }
                Call::Ack { items } => {
                    for (at, item) in items.iter().enumerate() {
                        let done = match span.reply {
                            Some(Reply::Acked { done }) => done.get(at).copied(),
                            _ => None,
                        };
                        self.task(&item.task).acks.push(Ack { when, item, done });
                    }
                }
                Call::Reclaim { claim, tasks, .. } => self.note_reclaim(span, when, claim, tasks),
                Call::Change { .. }
                | Call::Keep { .. }
                | Call::Campaign
                | Call::Resign
                | Call::Duty { .. } => {}
            }
        }
        self.let_go(&calls);
        self.note_changes(&calls);
        self.calls = calls;
    }

    fn note_add(&mut self, span: &Span<'a>, when: Window, tasks: &'a [Added]) {
        for (at, spec) in tasks.iter().enumerate() {
            let outcome = match span.reply {
                Some(Reply::Added { outcomes }) => outcomes.get(at).copied(),
                _ => None,
            };
            if !matches!(outcome, Some(Outcome::Kept | Outcome::Duplicate)) {
                self.task(&spec.task).adds.push(Add { when, spec, outcome });
            }
        }
    }

    fn note_claim(&mut self, span: &Span<'a>, when: Window, claim: &'a str) {
        let Some(Reply::Claimed { now, tasks }) = span.reply else { return };
        for task in tasks {
            let taken = &mut self.task(&task.task).taken;
            if !taken.iter().any(|known| known.claim == claim && known.task.fence == task.fence) {
                taken.push(Taken { when, by: span.by, claim, now: *now, task });
            }
        }
    }

    fn note_reclaim(&mut self, span: &Span<'a>, when: Window, claim: &'a str, tasks: &'a [Judged]) {
        let taken = match span.reply {
            Some(Reply::Led { taken }) => Some(taken.unwrap_or(0)),
            _ => None,
        };
        if taken == Some(0) {
            return;
        }
        for judged in tasks {
            let verdict = Some(judged.verdict);
            let is_sure = taken == Some(tasks.len() as u64);
            self.task(&judged.task).reclaims.push(Reclaim { when, claim, verdict, is_sure });
        }
    }

    /// A reclaim lets also those tasks of its claim go that it does not judge.
    fn let_go(&mut self, calls: &[Span<'a>]) {
        let mut by_claim: HashMap<&str, Vec<Window>> = HashMap::new();
        for span in calls {
            if let Call::Reclaim { claim, .. } = span.what
                && let Some(when) = span.window()
                && !matches!(span.reply, Some(Reply::Led { taken: None }))
            {
                by_claim.entry(claim).or_default().push(when);
            }
        }
        for task in self.tasks.values_mut() {
            for taken in &task.taken {
                for when in by_claim.get(taken.claim).into_iter().flatten() {
                    let is_known = |reclaim: &Reclaim<'_>| {
                        reclaim.claim == taken.claim && reclaim.when == *when
                    };
                    if !task.reclaims.iter().any(is_known) {
                        let (claim, when) = (taken.claim, *when);
                        let reclaim = Reclaim { when, claim, verdict: None, is_sure: false };
                        task.reclaims.push(reclaim);
                    }
                }
            }
        }
    }

    /// Finds the tasks of each change; those of a group by the adds before it.
    fn note_changes(&mut self, calls: &[Span<'a>]) {
        for span in calls {
            let Call::Change { action, tasks, group } = span.what else { continue };
            let Some(when) = span.window() else { continue };
            let is_left_out = |id: &str| match span.reply {
                Some(Reply::Changed { missing, skipped, .. }) => {
                    missing.iter().chain(skipped).any(|left| left == id)
                }
                _ => false,
            };
            let is_answered = matches!(span.reply, Some(Reply::Changed { .. }));
            for id in tasks.iter().filter(|id| !is_left_out(id)) {
                let change = Change { when, action: *action, is_sure: is_answered };
                self.task(id).changes.push(change);
            }
            let Some(group) = group else { continue };
            for (id, task) in &mut self.tasks {
                let in_group = |add: &Add<'_>| add.spec.group.as_ref() == Some(group);
                if is_left_out(id) || !task.adds.iter().any(in_group) {
                    continue;
                }
                let latest = task.adds.iter().all(|add| in_group(add) && add.when.is_before(&when));
                let is_sure = is_answered && latest;
                task.changes.push(Change { when, action: *action, is_sure });
            }
        }
    }
}

//! `taskshed demo`: a small cluster that loses a node and a leader, and no task.
//!
//! Three nodes, each a process of its own, share a `SQLite` file in a folder of the demo's own. Two
//! of them are killed on the way with SIGKILL: nothing is handed back, their leases just end. Their
//! handlers are this program again, which writes down each start and end. What is told comes from
//! there and from the store, and so does the summary; nothing is made up.

mod cast;
mod folder;
mod handler;
mod history;
mod note;
mod story;
mod summary;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::id::TaskId;
use crate::domain::task::TaskRecord;
use crate::scheduler::Scheduler;
use crate::store::Options;
use crate::store::connect;

use self::cast::Cast;
use self::folder::Folder;
use self::history::History;
use self::story::Story;
use self::tasks::failed;

use super::failure::Failure;

pub(super) use handler::run_handler;

/// When the first node dies.
const FIRST_DEATH: Duration = Duration::from_secs(5);

/// How long the cluster may take for a step. The longest one is 10 s until a dead leader's term ends,
/// 3.5 s until its tasks run again, and their run.
const STEP_WITHIN: Duration = Duration::from_secs(25);

/// How often it is looked what the runs wrote.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the store is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long a node that was killed may take to pull its commands down with it.
const DYING: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Demo {}

impl Demo {
    #[expect(clippy::unused_self, reason = "commands are run alike; this one has no arguments")]
    pub(super) fn run(&self) -> Result<(), Failure> {
        // Dropped in the other order, also by a panic: the nodes first, then their folder.
        let folder = Folder::make()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(async {
            let mut interrupted = signal(SignalKind::interrupt())?;
            let mut terminated = signal(SignalKind::terminate())?;
            let told =
                || Err(Failure::Refused("stopped; the nodes and their folder are gone".into()));
            tokio::select! {
                _ = interrupted.recv() => told(),
                _ = terminated.recv() => told(),
                ended = play(&folder) => ended,
            }
        });
        runtime.shutdown_background();
        ended
    }
}

/// The cluster, and all that is known of it.
struct Play {
    scheduler: Scheduler,
    cast: Cast,
    notes: note::Reader,
    history: History,
    story: Story,
    ids: Vec<TaskId>,
    /// The tasks as the store showed them last.
    tasks: Vec<TaskRecord>,
    leader: Option<String>,
    asked_at: Duration,
}

async fn play(folder: &Folder) -> Result<(), Failure> {
    let store = connect::open(&folder.store(), Options::default())?;
    store.prepare().await?;
    let story = Story::begin();
    story.say("three nodes, each a process, share one file: anna, bert and cleo")?;
    let mut play = Play {
        scheduler: Scheduler::new(Arc::clone(&store)),
        notes: note::Reader::open(folder.path())?,
        cast: Cast::start(folder)?,
        history: History::default(),
        story,
        ids: Vec::new(),
        tasks: Vec::new(),
        leader: None,
        asked_at: Duration::ZERO,
    };

    play.until("three nodes and a leader", |play| play.cast.are_ready() && play.leader.is_some())
        .await?;
    play.ids = tasks::add(&play.scheduler).await?;
    play.story.say(
        "tasks: one in a second, one every second, one every other second by cron, one that fails \
         twice, and slow ones",
    )?;
    play.until("the first act ends", |play| play.story.time() >= FIRST_DEATH).await?;

    let follower = play.follower().ok_or_else(|| stuck("a node that follows"))?;
    play.kill(follower).await?;
    play.until("its tasks run again", |play| play.history.interrupted_open() == 0).await?;
    let leader = play.leader.clone().ok_or_else(|| stuck("a leader"))?;
    play.kill(&leader).await?;
    play.until("its tasks run again", |play| play.history.interrupted_open() == 0).await?;

    play.story.say("the recurring tasks are cancelled; what is under way may end")?;
    tasks::end_recurring(&play.scheduler).await?;
    play.until("all tasks end", |play| {
        play.tasks.len() == play.ids.len() && play.tasks.iter().all(|task| task.state.is_ended())
    })
    .await?;
    play.part().await?;
    summary::tell(&play.scheduler, &play.ids, &play.history).await
}

impl Play {
    /// Goes on until something is so, and tells what happens meanwhile.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let patience = SystemClock.steady() + STEP_WITHIN;
        loop {
            self.look().await?;
            if is_so(self) {
                return Ok(());
            }
            if SystemClock.steady() > patience {
                return Err(stuck(what));
            }
            SystemClock.sleep(LOOK_EVERY).await;
        }
    }

    /// Tells what is new.
    async fn look(&mut self) -> Result<(), Failure> {
        for (name, url) in self.cast.greetings()? {
            self.story.say(&format!("{name} is ready at {url}"))?;
        }
        for note in self.notes.read()? {
            let (took, is_again) = self.history.note(&note);
            self.story.tell(&note, took, is_again)?;
        }
        if SystemClock.steady() < self.asked_at + ASK_EVERY {
            return Ok(());
        }
        self.asked_at = SystemClock.steady();
        self.ask().await
    }

    /// Asks the store who leads and how the tasks are.
    async fn ask(&mut self) -> Result<(), Failure> {
        let leader = self.scheduler.cluster().await.map_err(failed)?.leader;
        self.leader = leader.map(|leader| leader.node.to_string());
        if let Some(leader) = &self.leader
            && self.history.lead(leader)
        {
            self.story.say(&format!("{leader} leads"))?;
        }
        if self.ids.is_empty() {
            return Ok(());
        }
        let found = self.scheduler.fetch(&self.ids).await.map_err(failed)?;
        let found: Vec<TaskRecord> = found.into_iter().flatten().collect();
        for task in &found {
            let was = self.tasks.iter().find(|was| was.id == task.id);
            if task.crashes > was.map_or(0, |was| was.crashes) {
                let leader = self.leader.as_deref().unwrap_or("the leader");
                self.story.say(&format!("{leader} takes {} back from the dead", task.id))?;
            }
        }
        self.tasks = found;
        Ok(())
    }

    /// A living node that does not lead.
    fn follower(&self) -> Option<&'static str> {
        let leader = self.leader.as_deref()?;
        self.cast.living().find(|name| *name != leader)
    }

    /// Gives `name` work, and kills it while it runs.
    async fn kill(&mut self, name: &str) -> Result<(), Failure> {
        let patience = SystemClock.steady() + STEP_WITHIN;
        while self.history.slow_runs_of(name) < 2 {
            if SystemClock.steady() > patience {
                return Err(stuck("a node with work"));
            }
            self.ids.extend(tasks::add_slow(&self.scheduler, self.ids.len()).await?);
            let again_at = SystemClock.steady() + Duration::from_millis(250);
            let is_time = |play: &Self| {
                SystemClock.steady() >= again_at || play.history.slow_runs_of(name) >= 2
            };
            self.until("a node with work", is_time).await?;
        }
        self.cast.kill(name);
        let died_at = SystemClock.wall();
        SystemClock.sleep(DYING).await;
        self.look().await?;
        let runs = self.history.bury(name, died_at).join(", ");
        self.story.say(&format!("KILLED {name} while it ran {runs}; it says nothing to anybody"))
    }

    /// Lets the living leave in good order.
    async fn part(&mut self) -> Result<(), Failure> {
        self.cast.dismiss()?;
        let patience = SystemClock.steady() + STEP_WITHIN;
        while self.cast.living().next().is_some() {
            if SystemClock.steady() > patience {
                return Err(stuck("the nodes leave"));
            }
            match self.cast.left()? {
                Some(name) => self.story.say(&format!("{name} leaves in good order"))?,
                None => SystemClock.sleep(LOOK_EVERY).await,
            }
        }
        Ok(())
    }
}

fn stuck(what: &str) -> Failure {
    Failure::Refused(format!("the demo waits too long for this: {what}"))
}

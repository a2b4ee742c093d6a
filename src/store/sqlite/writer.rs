//! The thread that owns the connection.
//!
//! A commit costs a write to the disk, however much is in it. So the thread takes all calls that
//! have gathered while it wrote, and commits them together; nobody is answered before. A call that
//! fails is rolled back alone. If the commit fails, each is taken again by itself, so that one call
//! does not take the others with it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::store::Error;
use crate::store::Result;
use crate::store::sql::Step;

use super::Home;
use super::failure::Failure;
use super::link::Link;
use super::link::Open;
use super::tx::SqliteTx;

/// Most calls of one commit, so that the first of them does not wait long.
const TOGETHER: usize = 64;

const BEGIN_READING: &str = "BEGIN";
const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
const MARK: &str = "SAVEPOINT step";
const TAKE_BACK: &str = "ROLLBACK TO step";
const FORGET_MARK: &str = "RELEASE step";

/// What the thread is asked.
enum Request {
    /// A step, which may share its transaction.
    Step(Box<dyn Call>),
    /// Anything else; it answers by itself.
    Alone(Box<dyn FnOnce(&mut Link) + Send>),
}

/// A step that waits for its answer.
trait Call: Send {
    fn only_reads(&self) -> bool;

    /// Whether nobody waits any more.
    fn is_given_up(&self) -> bool;

    /// Takes the step; whether what it wrote is to stay.
    fn take(&mut self, open: &mut Open, home: &Home) -> bool;

    /// Answers: with what the step said, or why that does not count.
    fn answer(self: Box<Self>, end: std::result::Result<(), &Failure>);
}

struct Waiting<S: Step> {
    step: S,
    said: Option<Result<S::Reply>>,
    caller: oneshot::Sender<Result<S::Reply>>,
}

impl<S: Step> Call for Waiting<S> {
    fn only_reads(&self) -> bool {
        S::READS
    }

    fn is_given_up(&self) -> bool {
        self.caller.is_closed()
    }

    fn take(&mut self, open: &mut Open, home: &Home) -> bool {
        let mut tx = SqliteTx::new(open, home, S::METHOD);
        let said = self.step.take(&mut tx).now_or_never();
        let said = said.expect("a step waits for its transaction alone, and that is ready at once");
        let said = said.map_err(|trouble| trouble.into_error(S::METHOD));
        let stays = said.is_ok();
        self.said = Some(said);
        stays
    }

    fn answer(self: Box<Self>, end: std::result::Result<(), &Failure>) {
        let answer = match (self.said, end) {
            (Some(Err(error)), _) => Err(error),
            (Some(said), Ok(())) => said,
            (_, Err(failure)) => Err(failure.error(S::METHOD)),
            // Given up before it was taken.
            (None, Ok(())) => return,
        };
        let _given_up_is_fine = self.caller.send(answer);
    }
}

/// A thread of its own, started by the first call.
pub(super) struct Writer {
    home: Arc<Home>,
    thread: Mutex<Option<mpsc::Sender<Request>>>,
}

impl Writer {
    pub(super) fn new(home: Arc<Home>) -> Self {
        Self { home, thread: Mutex::new(None) }
    }

    /// Takes a step, and answers when what it wrote is on the disk.
    pub(super) async fn step<S: Step + 'static>(&self, step: S) -> Result<S::Reply> {
        let (caller, answer) = oneshot::channel();
        let call = Box::new(Waiting { step, said: None, caller });
        self.send(S::METHOD, Request::Step(call))?;
        answer.await.map_err(|source| unanswered(S::METHOD, source))?
    }

    /// Does something with the connection, outside of a transaction.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        method: &'static str,
        act: impl FnOnce(&mut Link) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (caller, answer) = oneshot::channel();
        let act = Box::new(move |link: &mut Link| {
            let _given_up_is_fine = caller.send(act(link));
        });
        self.send(method, Request::Alone(act))?;
        let answer = answer.await.map_err(|source| unanswered(method, source))?;
        answer.map_err(|failure| failure.error(method))
    }

    /// Hands a request to the thread, which is started if there is none.
    fn send(&self, method: &'static str, request: Request) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = match &*thread {
            Some(thread) => thread.send(request).err().map(|mpsc::SendError(unsent)| unsent),
            None => Some(request),
        };
        let Some(request) = unsent else { return Ok(()) };

        let (sender, requests) = mpsc::channel();
        let link = Link::new(Arc::clone(&self.home));
        thread::Builder::new()
            .name("taskshed-sqlite".into())
            .spawn(move || serve(link, &requests))
            .map_err(|source| unanswered(method, source))?;
        // The thread has just begun to wait for this.
        let sent = sender.send(request);
        *thread = Some(sender);
        sent.map_err(|_| unanswered(method, "the thread of the store ended"))
    }
}

fn unanswered(method: &'static str, source: impl Into<crate::store::error::BoxError>) -> Error {
    Error::Unavailable { method, source: source.into() }
}

/// Answers until nobody can ask any more.
fn serve(mut link: Link, requests: &mpsc::Receiver<Request>) {
    let mut next = None;
    while let Some(request) = next.take().or_else(|| requests.recv().ok()) {
        match request {
            Request::Alone(act) => act(&mut link),
            Request::Step(first) => {
                let mut batch = vec![first];
                while batch.len() < TOGETHER {
                    match requests.try_recv() {
                        Ok(Request::Step(call)) => batch.push(call),
                        Ok(alone) => {
                            next = Some(alone);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                answer(&mut link, batch);
            }
        }
    }
}

/// Takes steps together, or each by itself if that fails, and answers.
fn answer(link: &mut Link, mut batch: Vec<Box<dyn Call>>) {
    match commit(link, &mut batch) {
        Err(failure) if batch.len() > 1 => {
            for call in batch {
                // Each writer would wait as long again, and all others behind it.
                if failure.is_busy() && !call.only_reads() {
                    call.answer(Err(&failure));
                    continue;
                }
                let mut alone = [call];
                let end = commit(link, &mut alone);
                let [call] = alone;
                call.answer(end.as_ref().copied());
            }
        }
        end => batch.into_iter().for_each(|call| call.answer(end.as_ref().copied())),
    }
}

/// Takes steps in one transaction. After an error nothing of it stays, and a connection that may be
/// broken is closed.
fn commit(link: &mut Link, batch: &mut [Box<dyn Call>]) -> std::result::Result<(), Failure> {
    let home = Arc::clone(&link.home);
    let only_reads = batch.iter().all(|call| call.only_reads());
    // The file's own lock knows no queue, so connections of one store stand in one before it.
    let _turn = (!only_reads).then(|| home.turn.blocking_lock());
    let open = link.ready()?;
    let end = transact(open, &home, only_reads, batch);
    let Err(error) = end else { return Ok(()) };

    let failure = Failure::of(&error, &home.path);
    let is_open = !open.connection.is_autocommit();
    let is_stuck = is_open && open.connection.execute_batch(ROLLBACK).is_err();
    if is_stuck || !(failure.is_full() || failure.is_busy()) {
        link.close();
    }
    Err(failure)
}

fn transact(
    open: &mut Open,
    home: &Home,
    only_reads: bool,
    batch: &mut [Box<dyn Call>],
) -> rusqlite::Result<()> {
    tell(open, if only_reads { BEGIN_READING } else { BEGIN_WRITING })?;
    for call in batch.iter_mut().filter(|call| !call.is_given_up()) {
        tell(open, MARK)?;
        if !call.take(open, home) {
            tell(open, TAKE_BACK)?;
        }
        tell(open, FORGET_MARK)?;
    }
    tell(open, COMMIT)
}

fn tell(open: &Open, text: &str) -> rusqlite::Result<()> {
    open.connection.prepare_cached(text)?.execute([]).map(|_| ())
}

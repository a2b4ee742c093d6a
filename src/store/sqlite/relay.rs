//! Lets a step run over a connection that must stay on its thread.
//!
//! A step is a future that may be sent to another thread, and a connection that is borrowed may
//! not. So the step gets a [`Relay`], which leaves each statement in a box and waits; [`serve`] polls
//! the step on the thread of the connection, and answers what it finds in the box.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::domain::time::Timestamp;
use crate::store::Options;
use crate::store::sql::Answer;
use crate::store::sql::Arg;
use crate::store::sql::Columns;
use crate::store::sql::Rows;
use crate::store::sql::Statement;
use crate::store::sql::Step;
use crate::store::sql::Tx;
use crate::store::sql::Value;

use super::tx::bound;

/// A statement, and the values of each of its runs.
pub(super) struct Asked {
    pub(super) text: String,
    pub(super) values: Vec<Vec<Value>>,
}

#[derive(Default)]
enum Letter {
    #[default]
    None,
    Asked(Asked),
    Answered(Answer<Vec<Columns>>),
}

/// What a step is told of its transaction.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) ns: i64,
    pub(super) now: Timestamp,
    pub(super) options: &'a Options,
}

/// A transaction whose statements somebody else runs.
struct Relay<'a> {
    letter: &'a Mutex<Letter>,
    about: About<'a>,
}

/// Takes a step; `run` runs its statements.
pub(super) fn serve<S: Step>(
    step: &S,
    about: About<'_>,
    mut run: impl FnMut(&Asked) -> Answer<Vec<Columns>>,
) -> Answer<S::Reply> {
    let letter = Mutex::default();
    let mut relay = Relay { letter: &letter, about };
    let mut taken = pin!(step.take(&mut relay));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(reply) = taken.as_mut().poll(&mut context) {
            return reply;
        }
        // A step waits for its statements alone, so there is one.
        if let Letter::Asked(asked) = take(&letter) {
            put(&letter, Letter::Answered(run(&asked)));
        }
    }
}

impl Relay<'_> {
    async fn ask(&self, text: String, values: Vec<Vec<Value>>) -> Answer<Vec<Columns>> {
        put(self.letter, Letter::Asked(Asked { text, values }));
        poll_fn(|_| match take(self.letter) {
            Letter::Answered(answer) => Poll::Ready(answer),
            unanswered => {
                put(self.letter, unanswered);
                Poll::Pending
            }
        })
        .await
    }
}

fn take(letter: &Mutex<Letter>) -> Letter {
    std::mem::take(&mut letter.lock().unwrap_or_else(PoisonError::into_inner))
}

fn put(letter: &Mutex<Letter>, new: Letter) {
    *letter.lock().unwrap_or_else(PoisonError::into_inner) = new;
}

impl Tx for Relay<'_> {
    fn now(&self) -> Timestamp {
        self.about.now
    }

    fn ns(&self) -> i64 {
        self.about.ns
    }

    fn options(&self) -> &Options {
        self.about.options
    }

    async fn rows(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> Answer<Vec<Columns>> {
        let (lists, values) = bound(args);
        self.ask(statement.text(Rows::Free, &lists, 1), vec![values]).await
    }

    async fn run(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Answer<()> {
        self.rows(statement, args).await.map(|_| ())
    }

    async fn insert(&mut self, statement: &'static Statement, rows: Vec<Columns>) -> Answer<()> {
        self.ask(statement.text(Rows::Free, &[], 1), rows).await.map(|_| ())
    }
}

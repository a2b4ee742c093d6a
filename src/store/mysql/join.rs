//! Steps in a transaction of the caller's, over its own connection.
//!
//! The transaction may have any isolation level, any default database, and any length. So a step
//! here names its tables in full, reads what it writes from with a lock, holds as few rows as it
//! can, and sends all its writes at once: a call that is given up half-way has written all of its
//! part or nothing.
//!
//! What need not be part of the transaction (which server this is, that a queue is known, whether a
//! run that was replaced still holds an id) is asked over a connection of the store.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use futures_util::future::BoxFuture;
use mysql_async::Error as Fault;
use mysql_async::Row;
use mysql_async::Transaction;

use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Add;
use crate::store::Added;
use crate::store::Ask;
use crate::store::Error;
use crate::store::InTransaction;
use crate::store::Options;
use crate::store::Part;
use crate::store::Result;
use crate::store::sql::AddIn;
use crate::store::sql::Answer;
use crate::store::sql::Arg;
use crate::store::sql::AskTaken;
use crate::store::sql::Columns;
use crate::store::sql::Complete;
use crate::store::sql::KnowQueues;
use crate::store::sql::Statement;
use crate::store::sql::Step;
use crate::store::sql::Taken;
use crate::store::sql::Trouble;
use crate::store::sql::Tx;
use crate::store::sql::Value;
use crate::store::sql::named_table;
use crate::store::transaction::home_of;

use super::MysqlStore;
use super::failure::explain;
use super::failure::is_duplicate;
use super::failure::is_unknown_mark;
use super::failure::trouble;
use super::link;
use super::tx::PIECE;
use super::tx::columns;
use super::tx::pieces;
use super::tx::unreadable;
use super::tx::with_args;
use super::tx::writable;

/// How often tasks are put there: as if they were new, with a look at what others have there, with a
/// look at all that may be there, and once more for what came in between.
const TRIES: usize = 4;

const JOIN: &str = include_str!("sql/join.sql");
const TAKE_BACK: &str = include_str!("sql/take_back.sql");
const SERVER: &str = include_str!("sql/server.sql");

/// What a store knows of its place, so that it need not ask each time.
#[derive(Debug, Default)]
pub(super) struct Place {
    found: Mutex<Option<Found>>,
    queues: Mutex<BTreeSet<QueueName>>,
}

/// A server by its own word, and the number of the namespace there.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    server: (String, i64),
    ns: i64,
}

impl InTransaction for Transaction<'_> {
    type Answer<'a, T: Send + 'a>
        = BoxFuture<'a, T>
    where
        Self: 'a;

    fn take_part<'a, P: Part + 'a>(&'a mut self, part: P) -> BoxFuture<'a, P::Reply> {
        Box::pin(async move {
            let store = part.store();
            let joined = async {
                let store: &MysqlStore = home_of(&*store, "a connection to MariaDB or MySQL")?;
                store.join(self).await.map(|(ns, now)| (store, ns, now))
            };
            match joined.await {
                Ok((store, ns, now)) => {
                    let guest = Guest::new(self, store, ns, now);
                    match part.ask(now) {
                        Ask::Nothing(reply) => reply,
                        Ask::Add(add, tell) => tell(guest.add(store, &add).await),
                        Ask::Complete(item, tell) => tell(guest.complete(item).await),
                    }
                }
                Err(error) => part.refuse(error),
            }
        })
    }
}

impl MysqlStore {
    /// Marks a place in a transaction. Answers the number of the namespace and the store's now.
    async fn join(&self, tx: &mut Transaction<'_>) -> Result<(i64, Timestamp)> {
        let rows = match link::last_rows(tx, JOIN).await {
            Err(fault) if is_unknown_mark(&fault) => {
                let problem = "it is over; begin another one".into();
                return Err(Error::Foreign { problem });
            }
            rows => rows.map_err(|fault| explain("transaction", fault))?,
        };
        let first = rows.into_iter().next().map(columns).unwrap_or_default();
        let (now, server) = match first.as_slice() {
            [Value::Int(now), read_only, Value::Text(host), Value::Int(port)] => {
                (writable("transaction", read_only, *now)?, (host.clone(), *port))
            }
            _ => return Err(unreadable("transaction")),
        };
        let ns = self.ns_on(server).await?;
        Ok((ns, self.clock.as_ref().map_or(now, |clock| clock.wall())))
    }

    /// The number of the namespace on that server, if it is the one that keeps the tasks. What is
    /// known of it is asked anew if it seems to be another one: it may have taken its place.
    async fn ns_on(&self, server: (String, i64)) -> Result<i64> {
        let known = self.place.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(found) = known.filter(|found| found.server == server) {
            return Ok(found.ns);
        }
        let found = self.find().await?;
        *self.place.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        if found.server == server {
            return Ok(found.ns);
        }
        let ((theirs, at), (ours, port)) = (server, found.server);
        let problem = format!(
            "it was begun on the server {theirs}:{at}, and tasks are kept on {ours}:{port}; connect to that"
        );
        Err(Error::Foreign { problem })
    }

    async fn find(&self) -> Result<Found> {
        let mut session = self.session("transaction").await?;
        let rows = session.query(SERVER).await.map_err(|fault| explain("transaction", fault))?;
        let ns = self.ns("transaction", &mut session).await?;
        session.give_back();
        let first = rows.into_iter().next().map(columns).unwrap_or_default();
        match first.as_slice() {
            [Value::Text(host), Value::Int(port)] => {
                Ok(Found { server: (host.clone(), *port), ns })
            }
            _ => Err(unreadable("transaction")),
        }
    }

    /// Makes the queues of these tasks known, whatever becomes of the transaction.
    async fn make_known(&self, add: &Add) -> Result<()> {
        let mut unknown: BTreeSet<QueueName> =
            add.tasks.iter().map(|task| task.spec.queue.clone()).collect();
        {
            let known = self.place.queues.lock().unwrap_or_else(PoisonError::into_inner);
            unknown.retain(|queue| !known.contains(queue));
        }
        if unknown.is_empty() {
            return Ok(());
        }
        self.step(&KnowQueues(unknown.clone())).await?;
        self.place.queues.lock().unwrap_or_else(PoisonError::into_inner).append(&mut unknown);
        Ok(())
    }
}

/// A store in somebody else's transaction.
struct Guest<'a, 't> {
    tx: &'a mut Transaction<'t>,
    /// The database of the tasks, quoted.
    home: String,
    ns: i64,
    now: Timestamp,
    options: &'a Options,
    method: &'static str,
    /// Writes that were not sent yet.
    unsent: String,
    /// Whether a step met a row that somebody else wrote first.
    met_duplicate: bool,
}

impl<'a, 't> Guest<'a, 't> {
    fn new(tx: &'a mut Transaction<'t>, store: &'a MysqlStore, ns: i64, now: Timestamp) -> Self {
        let home = format!("`{}`", store.link.address().database().replace('`', "``"));
        let (options, method, unsent) = (&store.options, "transaction", String::new());
        Self { tx, home, ns, now, options, method, unsent, met_duplicate: false }
    }

    /// Adds tasks: first as if all were new, then with a look at what is there.
    async fn add(mut self, store: &MysqlStore, add: &Add) -> Result<Added> {
        store.make_known(add).await?;
        let ask = AskTaken(Taken::all(add, BTreeSet::new()));
        let mut taken = Taken::default();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.take(&AddIn { add, taken: &taken }).await {
                // Nobody else can take these ids until the transaction is over. So a run that was
                // replaced or removed before is seen now, and none comes after (T3).
                Ok(added) if ask.0.ids.is_empty() => return Ok(added),
                Ok(added) => {
                    let found = store.step(&ask).await?;
                    if found.held.is_subset(&taken.held) {
                        return Ok(added);
                    }
                    self.take_back().await;
                    taken.held = found.held;
                }
                Err(Trouble::Again(_)) if self.met_duplicate && tries < TRIES => {
                    let found = store.step(&ask).await?;
                    // What only this transaction sees is in none of its answers.
                    taken = if tries == 1 { found } else { Taken::all(add, found.held) };
                }
                Err(trouble) => return Err(trouble.into_error(self.method)),
            }
        }
    }

    async fn complete(mut self, item: AckItem) -> Result<Acked> {
        let acked = self.take(&Complete(item)).await;
        acked.map_err(|trouble| trouble.into_error(self.method))
    }

    /// Takes a step. If it fails, nothing of it stays and the rest of the transaction does.
    async fn take<S: Step>(&mut self, step: &S) -> Answer<S::Reply> {
        (self.method, self.met_duplicate) = (S::METHOD, false);
        let taken = async {
            let reply = step.take(self).await?;
            self.send_writes().await.map(|()| reply)
        };
        let taken = taken.await;
        if taken.is_err() {
            self.take_back().await;
        }
        taken
    }

    /// Undoes what was written. If the server undid the whole transaction before, or the connection
    /// is gone, there is nothing to undo.
    async fn take_back(&mut self) {
        self.unsent.clear();
        let _undone_anyway = link::last_rows(self.tx, TAKE_BACK).await;
    }

    async fn send(&mut self, text: &str) -> Answer<Vec<Row>> {
        let rows = link::last_rows(self.tx, text).await;
        rows.map_err(|fault: Fault| {
            self.met_duplicate = is_duplicate(&fault);
            trouble(self.method, fault)
        })
    }

    async fn send_writes(&mut self) -> Answer<()> {
        let text = std::mem::take(&mut self.unsent);
        if text.is_empty() { Ok(()) } else { self.send(&text).await.map(|_| ()) }
    }

    async fn write(&mut self, text: &str) -> Answer<()> {
        if self.unsent.len() + text.len() > 2 * PIECE {
            self.send_writes().await?;
        }
        if !self.unsent.is_empty() {
            self.unsent.push_str(";\n");
        }
        self.unsent.push_str(&in_full(&self.home, text));
        Ok(())
    }
}

impl Tx for Guest<'_, '_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn ns(&self) -> i64 {
        self.ns
    }

    fn options(&self) -> &Options {
        self.options
    }

    async fn rows(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> Answer<Vec<Columns>> {
        self.send_writes().await?;
        let text = in_full(&self.home, &with_args(statement, args));
        Ok(self.send(&text).await?.into_iter().map(columns).collect())
    }

    async fn run(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Answer<()> {
        self.write(&with_args(statement, args)).await
    }

    async fn insert(&mut self, statement: &'static Statement, rows: Vec<Columns>) -> Answer<()> {
        for text in pieces(statement, &rows) {
            self.write(&text).await?;
        }
        Ok(())
    }
}

/// A text with its tables named below their database.
fn in_full(home: &str, text: &str) -> String {
    let mut whole = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let Some((before, table, after)) = named_table(line) else {
            whole.push_str(line);
            continue;
        };
        let full = format!("{home}.{table}");
        // A delete that names its index names its table twice.
        whole.push_str(&before.replace(&format!(" {table} "), &format!(" {full} ")));
        whole.extend([full.as_str(), after]);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_in_full() {
        let text = |text| in_full("`d`", text);

        assert_eq!(
            text("SELECT id\nFROM x /*! y */\nWHERE a = 1\nFOR UPDATE\n"),
            "SELECT id\nFROM `d`.x /*! y */\nWHERE a = 1\nFOR UPDATE\n"
        );
        assert_eq!(
            text(concat!("DELETE", " /*! x */ FROM x /*! y */\n")),
            concat!("DELETE", " /*! `d`.x */ FROM `d`.x /*! y */\n")
        );
        assert_eq!(text("UPDATE x\n"), "UPDATE `d`.x\n");
        assert_eq!(text(concat!("INSERT", " INTO x\n")), concat!("INSERT", " INTO `d`.x\n"));
    }
}

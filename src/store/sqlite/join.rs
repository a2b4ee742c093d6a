//! Steps in a transaction of the caller's, on its own connection to the file.
//!
//! The caller's tables stand in the same file: only then one commit makes both last, also when the
//! machine dies in it. Nothing here waits for another task, so a call answers on the spot.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OptionalExtension;
use rusqlite::Transaction;

use crate::store::Ask;
use crate::store::Error;
use crate::store::InTransaction;
use crate::store::Part;
use crate::store::Result;
use crate::store::sql::Answer;
use crate::store::sql::Columns;
use crate::store::sql::Complete;
use crate::store::sql::Step;
use crate::store::sql::Trouble;
use crate::store::sql::named_table;
use crate::store::transaction::home_of;

use super::SqliteStore;
use super::failure::Failure;
use super::link::NAMESPACE;
use super::link::file_id;
use super::relay::About;
use super::relay::Asked;
use super::relay::serve;
use super::tx::found;

const MARK: &str = "SAVEPOINT taskshed";
const TAKE_BACK: &str = "ROLLBACK TO taskshed";
const FORGET_MARK: &str = "RELEASE taskshed";

impl InTransaction for Transaction<'_> {
    type Answer<'a, T: Send + 'a>
        = T
    where
        Self: 'a;

    fn take_part<'a, P: Part + 'a>(&'a mut self, part: P) -> P::Reply {
        let store = part.store();
        let joined =
            home_of(&*store, "a file of SQLite").and_then(|store| Guest::join(self, store));
        match joined {
            Ok(guest) => match part.ask(guest.about.now) {
                Ask::Nothing(reply) => reply,
                Ask::Add(add, tell) => tell(guest.take(&add)),
                Ask::Complete(item, tell) => tell(guest.take(&Complete(item))),
            },
            Err(error) => part.refuse(error),
        }
    }
}

/// A store on somebody else's connection.
struct Guest<'a> {
    connection: &'a Connection,
    path: &'a Path,
    about: About<'a>,
}

impl<'a> Guest<'a> {
    /// Joins in, if the connection is to the file of the store and in a transaction.
    fn join(connection: &'a Connection, store: &'a SqliteStore) -> Result<Self> {
        let home = &*store.home;
        let (path, file) = (home.path.as_path(), home.path.display());
        let foreign = |problem| Error::Foreign { problem };
        let theirs = connection.path().filter(|path| !path.is_empty());
        let is_ours = theirs.is_some_and(|theirs| {
            let ours = file_id(path);
            ours.is_some() && file_id(Path::new(theirs)) == ours
        });
        if !is_ours {
            let theirs = theirs.unwrap_or("memory");
            return Err(foreign(format!(
                "it was begun on {theirs}, and tasks are kept in {file}; open that"
            )));
        }
        if connection.is_autocommit() {
            return Err(foreign("it is over; begin another one".into()));
        }
        let name = home.options.namespace.as_str();
        let found = connection.query_row(&in_main(NAMESPACE), [name], |row| row.get(0));
        let found = found.optional().map_err(|error| told("transaction", &error, path))?;
        let ns = found.ok_or_else(|| {
            foreign(format!("{file} has no namespace {name}; prepare the store before"))
        })?;
        let about = About { ns, now: home.clock.wall(), options: &home.options };
        Ok(Self { connection, path, about })
    }

    /// Takes a step. If it fails, nothing of it stays and the rest of the transaction does.
    fn take<S: Step>(&self, step: &S) -> Result<S::Reply> {
        self.tell(MARK, S::METHOD)?;
        let reply = serve(step, self.about, |asked| self.run(asked, S::METHOD));
        if reply.is_err() {
            // Undone already, if SQLite undid the whole transaction.
            let _undone = self.connection.execute_batch(TAKE_BACK);
        }
        let forgotten = self.tell(FORGET_MARK, S::METHOD);
        let reply = reply.map_err(|trouble| trouble.into_error(S::METHOD))?;
        forgotten?;
        Ok(reply)
    }

    fn run(&self, asked: &Asked, method: &'static str) -> Answer<Vec<Columns>> {
        let mut rows = Vec::new();
        let failed = |error: rusqlite::Error| Trouble::Refused(told(method, &error, self.path));
        let mut prepared = self.connection.prepare(&in_main(&asked.text)).map_err(failed)?;
        for values in &asked.values {
            rows.extend(found(&mut prepared, values).map_err(failed)?);
        }
        Ok(rows)
    }

    fn tell(&self, text: &str, method: &'static str) -> Result<()> {
        self.connection.execute_batch(text).map_err(|error| told(method, &error, self.path))
    }
}

/// What an error means for the caller, who did not wait as the store does.
fn told(method: &'static str, error: &rusqlite::Error, path: &Path) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
        let file = path.display();
        let source =
            format!("{file} is being written ({error}); begin IMMEDIATE, and with a busy timeout");
        return Error::Unavailable { method, source: source.into() };
    }
    Failure::of(error, path).error(method)
}

/// A text whose tables are those of the file that the connection was opened on: not temporary ones
/// of the same name, nor those of a file that it attached.
fn in_main(text: &str) -> String {
    let mut whole = String::with_capacity(text.len() + 32);
    for line in text.split_inclusive('\n') {
        match named_table(line) {
            Some((before, table, after)) => whole.extend([before, "main.", table, after]),
            None => whole.push_str(line),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_in_full() {
        let text = in_main("SELECT id\nFROM x\nWHERE a = ?\n");

        assert_eq!(text, "SELECT id\nFROM main.x\nWHERE a = ?\n");
    }
}

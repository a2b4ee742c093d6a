//! The connection to the file, made when it is first used and again after it broke.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension;
use rusqlite::TransactionBehavior;
use rusqlite::ffi;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::id::Namespace;
use crate::store::sql::Statement;

use super::Home;
use super::SCHEMA;
use super::failure::Failure;

/// How long another process may hold the file before a call gives up.
pub(super) const BUSY_FOR: Duration = Duration::from_secs(5);

/// How often it is tried meanwhile: often, because SQLite forms no queue, and who comes seldom meets
/// a busy file each time.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// Marks the file as one of ours in its header: `tshd`. Who sets it in the file of a program of its
/// own wants our tables beside its own.
const APPLICATION: i64 = 0x7473_6864;

/// Statements that stay prepared, in the lengths of their lists.
const PREPARED: usize = 512;

const SCHEMA_TEXT: &str = include_str!("sql/schema.sql");
const TABLE_COUNT: &str = include_str!("sql/table_count.sql");
const VERSION_TABLE: &str = include_str!("sql/version_table.sql");
const VERSION: &str = include_str!("sql/version.sql");
pub(super) const NAMESPACE: &str = include_str!("sql/namespace.sql");
const NAMESPACE_NEW: &str = include_str!("sql/namespace_new.sql");
const NAMESPACE_ROWS: &str = include_str!("sql/namespace_rows.sql");

/// Texts of statements by what they are made of: the statement, and the lengths of its lists.
pub(super) type Texts = HashMap<(usize, Vec<usize>), Arc<str>>;

/// A connection, and what is known of its file.
pub(super) struct Open {
    pub(super) connection: Connection,
    /// The number of the namespace.
    pub(super) ns: i64,
    pub(super) texts: Texts,
    file: FileId,
}

/// Device and inode, which stay while the file is only written.
pub(super) type FileId = (u64, u64);

/// A way to the file.
pub(super) struct Link {
    pub(super) home: Arc<Home>,
    open: Option<Open>,
}

impl Link {
    pub(super) fn new(home: Arc<Home>) -> Self {
        Self { home, open: None }
    }

    /// The connection, made anew if there is none or if the file is another one by now: what is
    /// written to a file that was moved away is lost to everybody else.
    pub(super) fn ready(&mut self) -> Result<&mut Open, Failure> {
        let path = &self.home.path;
        if self.open.as_ref().is_some_and(|open| file_id(path) != Some(open.file)) {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => connect(path, &self.home.options.namespace)?,
        };
        Ok(self.open.insert(open))
    }

    /// Closes the connection; the next call makes a new one.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Makes the file and what it must hold, and connects. Answers whether it made tables.
    pub(super) fn prepare(&mut self) -> Result<bool, Failure> {
        self.open = None;
        let (path, namespace) = (&self.home.path, &self.home.options.namespace);
        let failed = |error: rusqlite::Error| Failure::of(&error, path);
        let mut connection = dial(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(failed)?;
        if belongs_to_another(&mut connection).map_err(failed)? {
            let file = path.display();
            return Err(Failure::unusable(format!(
                "{file} is the database of another program; name another file, or let both share it \
                 by PRAGMA application_id = {APPLICATION} before"
            )));
        }
        write_ahead(&connection).map_err(failed)?;
        let (found, made) = write_schema(&mut connection, namespace).map_err(failed)?;
        if found != i64::from(SCHEMA) {
            return Err(Failure::schema(found));
        }
        // The last connection to close removes the log, so this one stays until there is another.
        self.open = Some(connect(path, namespace)?);
        drop(connection);
        Ok(made)
    }
}

/// Connects to a file that was prepared. It is not made if it is gone: an empty one in its place
/// would hide that tasks are missing.
fn connect(path: &Path, namespace: &Namespace) -> Result<Open, Failure> {
    let failed = |error: rusqlite::Error| Failure::of(&error, path);
    let file = file_id(path);
    let connection = dial(path, OpenFlags::empty()).map_err(failed)?;
    let count: i64 = connection.query_row(VERSION_TABLE, [], |row| row.get(0)).map_err(failed)?;
    let unprepared = || {
        let file = path.display();
        Failure::away(format!(
            "{file} is not the file that was prepared; put that one back, or start anew"
        ))
    };
    if count == 0 {
        return Err(unprepared());
    }
    let found: i64 = connection.query_row(VERSION, [], |row| row.get(0)).map_err(failed)?;
    if found != i64::from(SCHEMA) {
        return Err(Failure::schema(found));
    }
    let ns = connection
        .query_row(NAMESPACE, [namespace.as_str()], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let (Some(ns), Some(file)) = (ns, file) else { return Err(unprepared()) };
    settle(&connection).map_err(failed)?;
    Ok(Open { connection, ns, texts: Texts::new(), file })
}

/// A connection that writes to the disk before a commit ends.
fn dial(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(pause))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    Ok(connection)
}

/// Has all that is in the log on the disk (T1). A commit whose sync failed is in the log all the same:
/// who opens the file next finds it there, and a call that is repeated would be told that it is done.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    patiently(|| {
        let is_busy = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
        let busy = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None);
        if is_busy { Err(busy()) } else { Ok(()) }
    })
}

/// Waits a little while another process writes; `false` ends the call as busy.
fn pause(tried: i32) -> bool {
    SystemClock.alarm().wait(Some(SystemClock.steady() + BUSY_PAUSE));
    u128::try_from(tried).is_ok_and(|tried| tried < BUSY_FOR.as_millis() / BUSY_PAUSE.as_millis())
}

/// Whether the file holds what we did not write. One read, so that a file that is being prepared is
/// seen before or after.
fn belongs_to_another(connection: &mut Connection) -> rusqlite::Result<bool> {
    let read = connection.transaction()?;
    let application: i64 = read.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let count: i64 = read.query_row(TABLE_COUNT, [], |row| row.get(0))?;
    Ok(application != APPLICATION && (application != 0 || count > 0))
}

/// Has readers and a writer not wait for each other.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))
}

/// Does what SQLite itself does not wait for while another process does the same.
fn patiently(act: impl Fn() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let until = SystemClock.steady() + BUSY_FOR;
    loop {
        let done = act();
        let is_busy = matches!(&done, Err(error) if
            error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        if !is_busy || SystemClock.steady() >= until {
            return done;
        }
        SystemClock.alarm().wait(Some(SystemClock.steady() + BUSY_PAUSE));
    }
}

/// Writes the tables if there are none, and the rows of a namespace; answers the version that is
/// there, and whether it wrote tables. It changes nothing in tables of another version.
fn write_schema(
    connection: &mut Connection,
    namespace: &Namespace,
) -> rusqlite::Result<(i64, bool)> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count: i64 = tx.query_row(VERSION_TABLE, [], |row| row.get(0))?;
    let made = count == 0;
    if made {
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.execute_batch(SCHEMA_TEXT)?;
    }
    let found: i64 = tx.query_row(VERSION, [], |row| row.get(0))?;
    if found != i64::from(SCHEMA) {
        return Ok((found, made));
    }
    tx.execute(NAMESPACE_NEW, [namespace.as_str()])?;
    tx.execute_batch(NAMESPACE_ROWS)?;
    tx.commit()?;
    Ok((found, made))
}

pub(super) fn file_id(path: &Path) -> Option<FileId> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// The address of a statement, which tells it from all others.
pub(super) fn address(statement: &'static Statement) -> usize {
    std::ptr::from_ref(statement).addr()
}

//! A transaction of the server, as steps see it.
//!
//! Statements go as text with their values in it, one round trip each: their lists make too many of
//! them to keep them prepared on every connection.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mysql_async::Row;
use mysql_async::Value as Sent;
use mysql_async::consts::ColumnType;

use crate::domain::time::Timestamp;
use crate::store::Error;
use crate::store::Options;
use crate::store::sql::Answer;
use crate::store::sql::Arg;
use crate::store::sql::Columns;
use crate::store::sql::Fronts;
use crate::store::sql::Rows;
use crate::store::sql::Statement;
use crate::store::sql::Tx;
use crate::store::sql::Value;

use super::failure::ReadOnly;
use super::failure::trouble;
use super::link::Session;

/// An insert is cut into pieces of this many bytes, well below what servers take at once.
pub(super) const PIECE: usize = 1 << 20;

/// A transaction that was begun, or a connection for reads.
pub(super) struct MysqlTx<'a, 'l> {
    session: &'a mut Session<'l>,
    about: About<'a>,
    now: Timestamp,
}

/// What steps are told of their store.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) method: &'static str,
    pub(super) ns: i64,
    pub(super) options: &'a Options,
    pub(super) fronts: &'a Arc<Fronts>,
    /// Counts what is sent.
    pub(super) statements: &'a AtomicU64,
}

impl<'a, 'l> MysqlTx<'a, 'l> {
    pub(super) fn new(session: &'a mut Session<'l>, about: About<'a>, now: Timestamp) -> Self {
        Self { session, about, now }
    }

    async fn send(&mut self, text: &str) -> Answer<Vec<Row>> {
        let method = self.about.method;
        self.about.statements.fetch_add(1, Ordering::Relaxed);
        self.session.query(text).await.map_err(|fault| trouble(method, fault))
    }
}

impl Tx for MysqlTx<'_, '_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn ns(&self) -> i64 {
        self.about.ns
    }

    fn options(&self) -> &Options {
        self.about.options
    }

    fn fronts(&self) -> Option<Arc<Fronts>> {
        Some(Arc::clone(self.about.fronts))
    }

    async fn rows(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> Answer<Vec<Columns>> {
        let rows = self.send(&with_args(statement, args)).await?;
        Ok(rows.into_iter().map(columns).collect())
    }

    async fn run(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Answer<()> {
        self.send(&with_args(statement, args)).await.map(|_| ())
    }

    async fn insert(&mut self, statement: &'static Statement, rows: Vec<Columns>) -> Answer<()> {
        for text in pieces(statement, &rows) {
            self.send(&text).await?;
        }
        Ok(())
    }
}

/// The server's now and whether it takes writes, from the answer to `begin`.
pub(super) fn begun(method: &'static str, rows: Vec<Row>) -> Result<Timestamp, Error> {
    let first = rows.into_iter().next().map(columns).unwrap_or_default();
    match first.as_slice() {
        [Value::Int(now), read_only] => writable(method, read_only, *now),
        _ => Err(unreadable(method)),
    }
}

/// The store's now, if the server takes writes.
pub(super) fn writable(
    method: &'static str,
    read_only: &Value,
    now: i64,
) -> Result<Timestamp, Error> {
    let takes_writes = match read_only {
        Value::Int(number) => *number == 0,
        Value::Text(text) => text == "OFF",
        Value::Null | Value::Damaged(_) => false,
    };
    if takes_writes {
        return Ok(Timestamp::from_us(now));
    }
    Err(Error::Unavailable { method, source: Box::new(ReadOnly) })
}

/// A number that a statement answers, if it answers one.
pub(super) fn number(rows: Vec<Row>) -> Option<i64> {
    match rows.into_iter().next().map(columns)?.first()? {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

pub(super) fn unreadable(method: &'static str) -> Error {
    Error::Unusable { problem: format!("what the server answered to {method} cannot be read") }
}

/// The values of a row.
pub(super) fn columns(row: Row) -> Columns {
    let kinds: Vec<ColumnType> =
        row.columns_ref().iter().map(mysql_async::Column::column_type).collect();
    row.unwrap_raw().into_iter().zip(kinds).map(|(sent, kind)| value(sent, kind)).collect()
}

fn value(sent: Option<Sent>, kind: ColumnType) -> Value {
    let bytes = match sent {
        None | Some(Sent::NULL) => return Value::Null,
        Some(Sent::Bytes(bytes)) => bytes,
        Some(Sent::Int(number)) => return Value::Int(number),
        Some(other) => other.as_sql(true).into_bytes(),
    };
    match String::from_utf8(bytes) {
        Err(error) => Value::Damaged(error.into_bytes()),
        Ok(text) if is_number(kind) => match text.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Damaged(text.into_bytes()),
        },
        Ok(text) => Value::Text(text),
    }
}

fn is_number(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
            | ColumnType::MYSQL_TYPE_INT24
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_LONGLONG
            | ColumnType::MYSQL_TYPE_DECIMAL
            | ColumnType::MYSQL_TYPE_NEWDECIMAL
    )
}

/// A statement with its values in it.
pub(super) fn with_args(statement: &Statement, args: Vec<Arg>) -> String {
    let (mut lists, mut values) = (Vec::new(), Vec::new());
    for arg in args {
        match arg {
            Arg::One(value) => values.push(value),
            Arg::Many(list) => {
                lists.push(list.len());
                values.extend(list);
            }
        }
    }
    with_values(&statement.text(Rows::Held, &lists, 1), values.iter())
}

/// An insert of rows, in pieces that a server takes.
pub(super) fn pieces(statement: &Statement, rows: &[Columns]) -> impl Iterator<Item = String> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(fitting(rest));
        rest = after;
        let text = || statement.text(Rows::Held, &[], piece.len());
        (!piece.is_empty()).then(|| with_values(&text(), piece.iter().flatten()))
    })
}

/// A text with a value at each of its marks. A mark that gets none stays, and is refused by the
/// server.
fn with_values<'v>(text: &str, values: impl Iterator<Item = &'v Value>) -> String {
    let mut values = values.peekable();
    let mut whole = String::with_capacity(text.len() * 2);
    for piece in text.split_inclusive('?') {
        match piece.strip_suffix('?').filter(|_| values.peek().is_some()) {
            Some(before) => {
                whole.push_str(before);
                values.next().into_iter().for_each(|value| push(&mut whole, value));
            }
            None => whole.push_str(piece),
        }
    }
    whole
}

/// Texts go as hexadecimal digits: nothing in them can end them, whatever the server's modes are.
fn push(text: &mut String, value: &Value) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = match value {
        Value::Null => return text.push_str("NULL"),
        Value::Int(number) => {
            let _infallible = write!(text, "{number}");
            return;
        }
        Value::Text(bytes) => bytes.as_bytes(),
        Value::Damaged(bytes) => bytes,
    };
    text.push_str("x'");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\'');
}

/// About how many bytes a row becomes.
fn size(row: &Columns) -> usize {
    let sizes = row.iter().map(|value| match value {
        Value::Text(text) => 4 + text.len() * 2,
        Value::Damaged(bytes) => 4 + bytes.len() * 2,
        Value::Int(_) | Value::Null => 12,
    });
    sizes.sum()
}

/// How many of the rows, at least one, make a piece.
fn fitting(rows: &[Columns]) -> usize {
    let mut bytes = 0;
    for (at, row) in rows.iter().enumerate() {
        bytes += size(row);
        if bytes > PIECE {
            return at.max(1);
        }
    }
    rows.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIND: Statement =
        Statement::new("-- find: x?\nSELECT id\nWHERE a = ?\n  AND b IN (?*)\n  AND c = ?\n");

    #[test]
    fn values_stand_where_the_marks_were() {
        let args = vec!["o'b\\?".into(), Arg::texts(["x", ""]), Arg::One(Value::Null)];

        let text = with_args(&FIND, args);

        assert_eq!(
            text,
            "SELECT id\nWHERE a = x'6f27625c3f'\n  AND b IN (x'78',x'')\n  AND c = NULL\n"
        );
    }

    #[test]
    fn numbers_and_texts_are_told_apart_by_their_columns() {
        let sent = || Some(Sent::Bytes(b"-12".to_vec()));

        assert_eq!(value(sent(), ColumnType::MYSQL_TYPE_NEWDECIMAL), Value::Int(-12));
        assert_eq!(value(sent(), ColumnType::MYSQL_TYPE_VAR_STRING), Value::from("-12"));
        let broken = Some(Sent::Bytes(vec![0xff]));
        assert_eq!(value(broken, ColumnType::MYSQL_TYPE_BLOB), Value::Damaged(vec![0xff]));
        assert_eq!(value(Some(Sent::NULL), ColumnType::MYSQL_TYPE_LONG), Value::Null);
    }
}

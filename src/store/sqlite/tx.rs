//! A transaction of SQLite, as steps see it.

use std::future::Future;
use std::future::ready;
use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::params_from_iter;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::ValueRef;

use crate::domain::time::Timestamp;
use crate::store::Options;
use crate::store::sql::Answer;
use crate::store::sql::Arg;
use crate::store::sql::Columns;
use crate::store::sql::Rows;
use crate::store::sql::Statement;
use crate::store::sql::Trouble;
use crate::store::sql::Tx;
use crate::store::sql::Value;

use super::Home;
use super::failure::Failure;
use super::link::Open;
use super::link::address;

/// A transaction that was begun. Its futures are ready at once.
pub(super) struct SqliteTx<'a> {
    open: &'a mut Open,
    home: &'a Home,
    method: &'static str,
    now: Timestamp,
}

impl<'a> SqliteTx<'a> {
    /// For one step, by the clock of the store.
    pub(super) fn new(open: &'a mut Open, home: &'a Home, method: &'static str) -> Self {
        Self { open, home, method, now: home.clock.wall() }
    }

    fn trouble(&self, error: &rusqlite::Error) -> Trouble {
        Trouble::Refused(Failure::of(error, &self.home.path).error(self.method))
    }

    fn rows_now(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Answer<Vec<Columns>> {
        let (lists, values) = bound(args);
        let text = self.text(statement, lists);
        self.find(&text, &values).map_err(|error| self.trouble(&error))
    }

    fn insert_now(&mut self, statement: &'static Statement, rows: &[Columns]) -> Answer<()> {
        let text = self.text(statement, Vec::new());
        for row in rows {
            self.execute(&text, row).map_err(|error| self.trouble(&error))?;
        }
        Ok(())
    }

    fn run_now(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Answer<()> {
        let (lists, values) = bound(args);
        let text = self.text(statement, lists);
        self.execute(&text, &values).map_err(|error| self.trouble(&error))
    }

    fn find(&self, text: &str, values: &[Value]) -> rusqlite::Result<Vec<Columns>> {
        let mut prepared = self.open.connection.prepare_cached(text)?;
        found(&mut prepared, values)
    }

    fn execute(&self, text: &str, values: &[Value]) -> rusqlite::Result<()> {
        let mut prepared = self.open.connection.prepare_cached(text)?;
        prepared.execute(params_from_iter(values)).map(|_| ())
    }

    /// The text of a statement whose lists have these lengths.
    fn text(&mut self, statement: &'static Statement, lists: Vec<usize>) -> Arc<str> {
        let made = self.open.texts.entry((address(statement), lists));
        let made =
            made.or_insert_with_key(|(_, lists)| statement.text(Rows::Free, lists, 1).into());
        Arc::clone(made)
    }
}

impl Tx for SqliteTx<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn ns(&self) -> i64 {
        self.open.ns
    }

    fn options(&self) -> &Options {
        &self.home.options
    }

    fn rows(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> impl Future<Output = Answer<Vec<Columns>>> + Send {
        ready(self.rows_now(statement, args))
    }

    fn run(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> impl Future<Output = Answer<()>> + Send {
        ready(self.run_now(statement, args))
    }

    fn insert(
        &mut self,
        statement: &'static Statement,
        rows: Vec<Columns>,
    ) -> impl Future<Output = Answer<()>> + Send {
        ready(self.insert_now(statement, &rows))
    }
}

/// The rows that a statement finds.
pub(super) fn found(
    prepared: &mut rusqlite::Statement<'_>,
    values: &[Value],
) -> rusqlite::Result<Vec<Columns>> {
    let width = prepared.column_count();
    let mut found = Vec::new();
    let mut rows = prepared.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let mut columns = Vec::with_capacity(width);
        for at in 0..width {
            columns.push(value(row.get_ref(at)?));
        }
        found.push(columns);
    }
    Ok(found)
}

/// Lengths of the lists, and all values in their order. A list is filled up with its last value to
/// the next power of two, so that few lengths, and so few statements, are prepared.
pub(super) fn bound(args: Vec<Arg>) -> (Vec<usize>, Vec<Value>) {
    let (mut lists, mut values) = (Vec::new(), Vec::with_capacity(args.len()));
    for arg in args {
        match arg {
            Arg::One(value) => values.push(value),
            Arg::Many(list) => {
                let length = list.len().next_power_of_two();
                let last = list.last().cloned().unwrap_or(Value::Null);
                let missing = length - list.len();
                values.extend(list);
                values.extend(std::iter::repeat_n(last, missing));
                lists.push(length);
            }
        }
    }
    (lists, values)
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Damaged(number.to_string().into_bytes()),
        ValueRef::Blob(bytes) => Value::Damaged(bytes.to_vec()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::Damaged(bytes.to_vec()),
        },
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Damaged(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_filled_up_with_what_it_holds() {
        let (lists, values) = bound(vec![7_i64.into(), Arg::texts(["a", "b", "c"])]);

        assert_eq!(lists, [4]);
        let texts = ["a", "b", "c", "c"].map(Value::from);
        assert_eq!(values, [vec![Value::Int(7)], texts.to_vec()].concat());
    }

    #[test]
    fn what_is_no_text_is_not_taken_for_one() {
        assert_eq!(value(ValueRef::Text(&[0xff])), Value::Damaged(vec![0xff]));
    }
}

//! Tasks of the Python library in the table `_taskshed_data`.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::Row;
use mysql_async::Value;
use mysql_async::prelude::Queryable;

use crate::store::Result;
use crate::store::python::PythonTask;
use crate::store::python::PythonTasks;
use crate::store::python::Unit;

use super::address::Address;
use super::failure::explain;

/// Sent as text, so that numbers come as the library reads them: `interval` is a FLOAT, of which a
/// server shows six digits.
const PAGE: &str = include_str!("sql/python.sql");

/// A walk over the table of the Python library.
pub(crate) struct PythonTable {
    address: Address,
    connection: Option<Conn>,
    /// The last id of the page before.
    after: String,
    is_over: bool,
}

impl PythonTable {
    /// The table at `url`. Nothing is sent yet.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        Ok(Self { address, connection: None, after: String::new(), is_over: false })
    }

    async fn page(&mut self) -> std::result::Result<Vec<Row>, mysql_async::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Conn::new(self.address.opts()).await?,
        };
        let mut after = String::new();
        for byte in self.after.bytes() {
            let _infallible = write!(after, "{byte:02x}");
        }
        let rows = connection.query(PAGE.replace("{after}", &after)).await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

#[async_trait]
impl PythonTasks for PythonTable {
    async fn next(&mut self) -> Result<Option<Vec<PythonTask>>> {
        if self.is_over {
            return Ok(None);
        }
        let rows = self.page().await.map_err(|fault| explain("read", fault))?;
        let tasks: Vec<PythonTask> = rows.iter().map(task).collect();
        match tasks.last() {
            Some(last) => self.after.clone_from(&last.id),
            None => self.is_over = true,
        }
        Ok(Some(tasks))
    }
}

impl fmt::Debug for PythonTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

fn task(row: &Row) -> PythonTask {
    let mut fields = BTreeMap::new();
    for (at, column) in row.columns_ref().iter().enumerate() {
        let text = match row.as_ref(at) {
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Value::Int(number)) => number.to_string(),
            Some(Value::UInt(number)) => number.to_string(),
            _ => continue,
        };
        fields.insert(column.name_str().into_owned(), text);
    }
    let id = fields.get("task_id").cloned().unwrap_or_default();
    PythonTask { id, fields, unit: Unit::Micros }
}

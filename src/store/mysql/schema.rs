//! The tables, and the rows that a namespace needs.

use std::time::Duration;

use crate::domain::id::Namespace;
use crate::store::Error;
use crate::store::Migrated;
use crate::store::Result;
use crate::store::sql::Statement;
use crate::store::sql::Value;

use super::failure::explain;
use super::link::Link;
use super::link::Session;
use super::tx::columns;
use super::tx::number;
use super::tx::unreadable;
use super::tx::with_args;

/// The version of the tables that this build speaks.
pub(super) const SCHEMA: u32 = 1;

/// How long a step may take, and how long another migration is waited for.
const PATIENT: Duration = Duration::from_secs(3600);

/// How each version is reached from the one before, and what that does.
const STEPS: [(&str, &str); SCHEMA as usize] =
    [(include_str!("schema/0001_tables.sql"), "1: made all tables")];

const VERSION_TABLE: &str = include_str!("schema/version.sql");
const BEGIN: &str = include_str!("sql/begin.sql");
const COMMIT: &str = include_str!("sql/commit.sql");
const PATIENCE: &str = include_str!("sql/patience.sql");
const VERSION: &str = include_str!("sql/version.sql");
const VERSION_HELD: &str = include_str!("sql/version_held.sql");
static VERSION_SET: Statement = Statement::new(include_str!("sql/version_set.sql"));
static NAMESPACE: Statement = Statement::new(include_str!("sql/namespace.sql"));
static NAMESPACE_NEW: Statement = Statement::new(include_str!("sql/namespace_new.sql"));
static LEADER_NEW: Statement = Statement::new(include_str!("sql/leader_new.sql"));
static FENCE_NEW: Statement = Statement::new(include_str!("sql/fence_new.sql"));

/// Takes the steps that are missing. Who holds the row of the version takes them, on a second
/// connection, because each change of a table commits what its connection has begun.
pub(super) async fn migrate(link: &Link) -> Result<Migrated> {
    let failed = |fault| explain("migrate", fault);
    let mut holder = link.session().await.map_err(failed)?;
    let mut worker = link.session().await.map_err(failed)?;
    holder.query(VERSION_TABLE).await.map_err(failed)?;
    holder.query(PATIENCE).await.map_err(failed)?;
    holder.query(BEGIN).await.map_err(failed)?;
    let found = holder.query_within(PATIENT, VERSION_HELD).await.map_err(failed)?;
    let found = number(found);
    let found = found.ok_or_else(|| unreadable("migrate"))?;
    let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len());
    let done = done.ok_or(Error::Schema { found: found.to_string(), wanted: SCHEMA })?;

    let mut migrated = Migrated::default();
    for (text, said) in STEPS.iter().skip(done) {
        worker.query_within(PATIENT, text).await.map_err(failed)?;
        migrated.steps.push((*said).to_owned());
    }
    let set = with_args(&VERSION_SET, vec![i64::from(SCHEMA).into()]);
    holder.query(&set).await.map_err(failed)?;
    holder.query(COMMIT).await.map_err(failed)?;
    worker.give_back();
    Ok(migrated)
}

/// Refuses another schema than ours.
pub(super) async fn verify(session: &mut Session<'_>) -> Result<()> {
    let found = session.query(VERSION).await.map_err(|fault| explain("prepare", fault))?;
    match number(found).unwrap_or(0) {
        found if found == i64::from(SCHEMA) => Ok(()),
        found => Err(Error::Schema { found: found.to_string(), wanted: SCHEMA }),
    }
}

/// The number of a namespace; `None` if there is none of that name.
pub(super) async fn namespace(
    session: &mut Session<'_>,
    method: &'static str,
    namespace: &Namespace,
) -> Result<Option<i64>> {
    let text = with_args(&NAMESPACE, vec![namespace.as_str().into()]);
    session.query(&text).await.map(number).map_err(|fault| explain(method, fault))
}

/// Makes the rows of a namespace, and answers its number.
pub(super) async fn settle(session: &mut Session<'_>, name: &Namespace) -> Result<i64> {
    let failed = |fault| explain("prepare", fault);
    let mut known = namespace(session, "prepare", name).await?;
    if known.is_none() {
        let new = with_args(&NAMESPACE_NEW, vec![name.as_str().into()]);
        session.query(&new).await.map_err(failed)?;
        known = namespace(session, "prepare", name).await?;
    }
    let ns = known.ok_or_else(|| unreadable("prepare"))?;
    for statement in [&LEADER_NEW, &FENCE_NEW] {
        session.query(&with_args(statement, vec![ns.into()])).await.map_err(failed)?;
    }
    Ok(ns)
}

/// Names and values of what the server shows.
pub(super) async fn shown(
    session: &mut Session<'_>,
    method: &'static str,
    text: &str,
) -> Result<Vec<(String, String)>> {
    let rows = session.query(text).await.map_err(|fault| explain(method, fault))?;
    let pair = |row| match columns(row).as_slice() {
        [Value::Text(name), Value::Text(value)] => Some((name.to_lowercase(), value.clone())),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

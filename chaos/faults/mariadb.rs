//! Faults that only MariaDB has.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::Queryable;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;

/// A connection of an operator.
async fn operator(fleet: &Fleet) -> Result<Conn, Failure> {
    Ok(Conn::new(Opts::from_url(&fleet.place.url())?).await?)
}

fn a_while(dice: &mut Dice) -> Duration {
    Duration::from_millis(300 + dice.below(2500) as u64)
}

/// Ends all connections but its own, again and again.
pub(super) async fn kill_connections(fleet: &mut Fleet) -> Result<(), Failure> {
    let fault = fleet.begin("connections killed", None);
    let mut conn = operator(fleet).await?;
    for _ in 0..8 {
        let others: Vec<u64> = conn
            .query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")
            .await?;
        for id in others {
            let _it_may_be_gone = conn.query_drop(format!("KILL {id}")).await;
        }
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
    fleet.over(fault, "connections killed", None);
    Ok(())
}

/// Lets the server refuse writes.
pub(super) async fn read_only(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("read-only", None);
    let mut conn = operator(fleet).await?;
    conn.query_drop("SET GLOBAL read_only = 1").await?;
    SystemClock.sleep(a_while(dice)).await;
    conn.query_drop("SET GLOBAL read_only = 0").await?;
    fleet.over(fault, "read-only", None);
    Ok(())
}

/// Takes all connections that the server has, after it ended those of the others.
pub(super) async fn no_connections(fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
    let fault = fleet.begin("too many connections", None);
    let mut conn = operator(fleet).await?;
    let most: Option<u64> = conn.query_first("SELECT @@max_connections").await?;
    conn.query_drop("SET GLOBAL max_connections = 10").await?;
    let others: Vec<u64> = conn
        .query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")
        .await?;
    for id in others {
        let _it_may_be_gone = conn.query_drop(format!("KILL {id}")).await;
    }
    let mut held = Vec::new();
    while let Ok(other) = Conn::from_url(fleet.place.url()).await {
        held.push(other);
    }
    SystemClock.sleep(a_while(dice)).await;
    conn.query_drop(format!("SET GLOBAL max_connections = {}", most.unwrap_or(151))).await?;
    drop(held);
    fleet.over(fault, "too many connections", None);
    Ok(())
}

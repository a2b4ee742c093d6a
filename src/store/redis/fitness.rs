//! What a server must be before anything is entrusted to it.

use std::collections::HashMap;

use redis::RedisError;
use redis::Value;
use redis::aio::MultiplexedConnection;

use super::failure::misconfigured;
use super::failure::unfit;

/// What a server must be, looked at once per connection: after a failover it is another server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// It takes writes. Of a server that was named by others only it itself knows.
    pub(super) primary: bool,
    /// It writes to its disk before it answers.
    pub(super) fsync: bool,
}

/// Settings that decide whether an answer means that the disk has it, each with what it must be.
const FSYNC: [(&str, &str); 3] =
    [("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no")];

/// Looks whether the server is as it must be.
///
/// # Errors
///
/// If it is not, or does not tell.
pub(super) async fn see(
    connection: &mut MultiplexedConnection,
    demand: Demand,
) -> Result<(), RedisError> {
    if demand.primary {
        see_role(connection).await?;
    }
    if demand.fsync {
        see_fsync(connection).await?;
    }
    Ok(())
}

/// A user who may not ask finds out with the first write.
async fn see_role(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let told: Result<Vec<Value>, RedisError> = redis::cmd("ROLE").query_async(connection).await;
    match told {
        Ok(role) if role.first() == Some(&Value::BulkString(b"master".to_vec())) => Ok(()),
        Ok(role) => Err(unfit("the server is not the primary", format!("{:?}", role.first()))),
        Err(error) if error.code() == Some("NOPERM") => Ok(()),
        Err(error) => Err(error),
    }
}

async fn see_fsync(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg(FSYNC.map(|(name, _)| name).as_slice());
    let told: Result<HashMap<String, String>, RedisError> = ask.query_async(connection).await;
    let settings = match told {
        Ok(settings) => settings,
        Err(error) if error.code().is_none() => return Err(error),
        Err(error) => {
            return Err(misconfigured(
                "durability = \"fsync\" cannot be seen to",
                format!(
                    "the server does not tell its settings ({error}); use memory or replicated:N"
                ),
            ));
        }
    };
    for (name, wanted) in FSYNC {
        let found = settings.get(name).map_or("unknown", String::as_str);
        if found != wanted {
            return Err(misconfigured(
                "durability = \"fsync\" does not hold on this server",
                format!("{name} is {found}; set it to {wanted}, or use another durability"),
            ));
        }
    }
    Ok(())
}

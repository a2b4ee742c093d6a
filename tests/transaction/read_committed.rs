//! The suite by the isolation of the store's own steps.

use mysql_async::IsolationLevel;

use crate::mariadb::Place;
use crate::mariadb::add_all_in;
use crate::mariadb::add_in;
use crate::mariadb::commit;
use crate::mariadb::complete_in;
use crate::mariadb::complete_in_with;
use crate::mariadb::effect;
use crate::mariadb::rollback;

#[path = "suite.rs"]
mod suite;

async fn place() -> Place {
    Place::new(IsolationLevel::ReadCommitted).await
}

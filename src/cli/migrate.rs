//! `taskshed migrate`: brings the schema of a store up to date.

use crate::config::Settings;

use super::failure::Failure;
use super::output;
use super::store;

/// Takes the steps that are missing and says which.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = store::open(settings)?;
    let migrated = runtime.block_on(store.migrate());
    let migrated = migrated.map_err(|error| store::explain(settings, &error))?;

    if migrated.steps.is_empty() {
        return output::line("nothing to do: the schema is up to date");
    }
    migrated.steps.iter().try_for_each(|step| output::line(&output::plain(step)))
}

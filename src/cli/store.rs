//! Opens the store that the settings name.

use std::sync::Arc;

use crate::config::Settings;
use crate::store;
use crate::store::Options;
use crate::store::Store;

use super::failure::Failure;
use super::failure::chain;

/// The store of the settings. Nothing is sent yet.
pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let options = Options {
        namespace: settings.namespace.clone(),
        keep_cancelled: settings.keep.cancelled,
        keep_expired: settings.keep.expired,
        keep_dead: settings.keep.dead,
        durability: settings.durability,
    };
    store::open(settings.store.reveal(), options).map_err(|error| explain(settings, &error))
}

/// What to tell, and to do, about a store that does not answer or cannot be used.
pub(super) fn explain(settings: &Settings, error: &store::Error) -> Failure {
    let url = &settings.store;
    let what = chain(error);
    match error {
        store::Error::Unavailable { .. } | store::Error::Full { .. } => {
            Failure::Unreachable(format!(
                "{what}\n  store: {url}\n  Start it, or name another one with --store, TASKSHED_STORE \
                 or `store` in taskshed.toml"
            ))
        }
        store::Error::Schema { .. } => Failure::Refused(format!(
            "{what}\n  store: {url}\n  Another version of taskshed wrote it: run that one, or use \
             another namespace"
        )),
        _ => Failure::Refused(format!("{what}\n  store: {url}")),
    }
}

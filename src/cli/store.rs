//! Opens the store that the settings name.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::config::StoreUrl;
use crate::domain::time::format_duration;
use crate::store;
use crate::store::Cluster;
use crate::store::NodeView;
use crate::store::Options;
use crate::store::Store;

use super::failure::Failure;
use super::failure::chain;
use super::output;

/// A node that was heard so lately is at work. It beats every second.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// The store of the settings. Nothing is sent yet.
pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let options = options(settings);
    store::open(settings.store.reveal(), options).map_err(|error| explain(settings, &error))
}

/// What the settings say of a store, wherever it is.
pub(super) fn options(settings: &Settings) -> Options {
    Options {
        namespace: settings.namespace.clone(),
        keep_cancelled: settings.keep.cancelled,
        keep_expired: settings.keep.expired,
        keep_dead: settings.keep.dead,
        durability: settings.durability,
    }
}

/// What to tell, and to do, about the store of the settings that does not answer or cannot be used.
pub(super) fn explain(settings: &Settings, error: &store::Error) -> Failure {
    let advice = "name another one with --store, TASKSHED_STORE or `store` in taskshed.toml";
    explain_at(&settings.store, error, advice)
}

/// The same about a store at `url`; `advice` says what else can be done if it is out of reach.
pub(super) fn explain_at(url: &StoreUrl, error: &store::Error, advice: &str) -> Failure {
    let what = chain(error);
    match error {
        store::Error::Unavailable { .. } | store::Error::Full { .. } => {
            Failure::Unreachable(format!("{what}\n  store: {url}\n  Start it, or {advice}"))
        }
        _ => Failure::Refused(format!("{what}\n  store: {url}")),
    }
}

/// The nodes at work that are `meant`, each on a line after a line break; empty if there are none.
pub(super) fn at_work(cluster: &Cluster, meant: impl Fn(&NodeView) -> bool) -> String {
    let mut lines = String::new();
    for node in cluster.nodes.iter().filter(|node| meant(node)) {
        let heard = cluster.now.since(node.beat_at);
        if heard < HEARD_WITHIN {
            let ago = format_duration(Duration::from_secs(heard.as_secs()));
            let name = output::plain(node.node.as_str());
            let _infallible = write!(lines, "\n  {name} (heard {ago} ago)");
        }
    }
    lines
}

//! `taskshed copy`: all tasks of a store, in another one.

#![expect(clippy::doc_markdown, reason = "these texts are the help, which knows no markdown")]

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::config::Flags;
use crate::config::Settings;
use crate::config::StoreUrl;
use crate::domain::durability::Durability;
use crate::domain::id::Namespace;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::scheduler::Copied;
use crate::scheduler::CopyError;
use crate::scheduler::Scheduler;
use crate::store::Cluster;
use crate::store::HolderKind;
use crate::store::Options;
use crate::store::Store;

use super::failure::Failure;
use super::output;
use super::output::Format;
use super::store;

/// After how many tasks a word is said on the way.
const TELL_EVERY: u64 = 10_000;

/// What else can be done about a store that does not answer.
const ADVICE: &str = "name another one; the same command again goes on from where it was";

#[derive(Debug, Args)]
pub(super) struct Copy {
    /// Store to copy; it is left as it is, and no node may be at work on it
    #[arg(long, value_name = "URL")]
    from: StoreUrl,

    /// Store to copy into; what is there with the same id is kept
    #[arg(long, value_name = "URL")]
    to: StoreUrl,

    /// Namespace of the tasks [env: TASKSHED_NAMESPACE]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Namespace in the other store [default: the same]
    #[arg(long, value_name = "NAME")]
    to_namespace: Option<Namespace>,

    /// What a write must have reached in the other store: `memory`, `fsync`, `replicated:N` [env:
    /// TASKSHED_DURABILITY] [default: memory]
    #[arg(long, value_name = "HOW")]
    durability: Option<String>,

    /// Say what would be copied, and write no task
    #[arg(long)]
    dry_run: bool,

    /// Copy although nodes are at work; what they run or are given meanwhile may run twice, or be
    /// missing in the copy
    #[arg(long)]
    live: bool,
}

/// One end of a copy.
struct End<'a> {
    url: &'a StoreUrl,
    store: Arc<dyn Store>,
}

impl Copy {
    pub(super) fn set(&self, flags: &mut Flags) {
        flags.set("namespace", self.namespace.clone());
        flags.set("durability", self.durability.clone());
    }

    pub(super) fn run(&self, settings: &Settings, asked: Option<Format>) -> Result<(), Failure> {
        let namespace = self.to_namespace.as_ref().unwrap_or(&settings.namespace);
        if self.from == self.to && *namespace == settings.namespace {
            return Err(Failure::Usage("--from and --to are the same store".into()));
        }
        let options = store::options(settings);
        let source = Options { durability: Durability::Memory, ..options.clone() };
        let from = End::open(&self.from, source)?;
        let to = End::open(&self.to, Options { namespace: namespace.clone(), ..options })?;

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let copied = runtime.block_on(self.copy(&from, &to))?;
        self.show(&copied, Format::chosen(asked))?;
        if copied.is_whole() {
            return Ok(());
        }
        Err(Failure::Refused(left_out(&copied)))
    }

    async fn copy(&self, from: &End<'_>, to: &End<'_>) -> Result<Copied, Failure> {
        from.store.prepare().await.map_err(|error| from.explain(&error))?;
        if !self.live && !self.dry_run {
            let cluster = from.store.cluster().await.map_err(|error| from.explain(&error))?;
            nobody_works(&cluster)?;
        }
        to.store.prepare().await.map_err(|error| to.explain(&error))?;

        let source = Scheduler::new(Arc::clone(&from.store));
        let target = Scheduler::new(Arc::clone(&to.store));
        let (mut so_far, mut told) = (Copied::default(), 0);
        let tell = |copied: &Copied| {
            let done = copied.copied + copied.kept;
            if done / TELL_EVERY > told {
                told = done / TELL_EVERY;
                output::note(&format!("{done} tasks so far"));
            }
            (so_far.copied, so_far.kept) = (copied.copied, copied.kept);
        };
        let copied = if self.dry_run {
            source.would_copy_to(&target, tell).await
        } else {
            source.copy_to(&target, tell).await
        };
        copied.map_err(|error| {
            if so_far.copied > 0 && !self.dry_run {
                output::note(&format!("{} tasks were copied until then", so_far.copied));
            }
            match error {
                CopyError::From(error) => from.explain(&error),
                CopyError::To(error) => to.explain(&error),
            }
        })
    }

    fn show(&self, copied: &Copied, format: Format) -> Result<(), Failure> {
        if format != Format::Table {
            return output::json(&as_json(copied, self.dry_run));
        }
        let verb = if self.dry_run { "would be copied" } else { "copied" };
        output::line(&format!("{} {verb}, {} there already", copied.copied, copied.kept))?;
        if !copied.paused.is_empty() {
            let names: Vec<_> = copied.paused.iter().map(QueueName::as_str).collect();
            output::line(&format!("paused queues: {}", names.join(", ")))?;
        }
        if copied.copied + copied.kept == 0 && copied.is_whole() {
            output::note("there was nothing to copy: are URL and namespace the right ones?");
        }
        Ok(())
    }
}

impl<'a> End<'a> {
    fn open(url: &'a StoreUrl, options: Options) -> Result<Self, Failure> {
        if url.reveal().starts_with("memory:") {
            let what =
                "memory: ends with this process; there is nothing to copy from it or into it";
            return Err(Failure::Usage(what.into()));
        }
        match crate::store::open(url.reveal(), options) {
            Ok(store) => Ok(Self { url, store }),
            Err(error) => Err(store::explain_at(url, &error, ADVICE)),
        }
    }

    fn explain(&self, error: &crate::store::Error) -> Failure {
        store::explain_at(self.url, error, ADVICE)
    }
}

/// Refuses a store in which tasks run or are added behind the walk.
fn nobody_works(cluster: &Cluster) -> Result<(), Failure> {
    let names = store::at_work(cluster, |node| node.kind == HolderKind::Node);
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "nodes are at work on the store that is to be copied; a task that they run would run again \
         from the copy. Stop them first, or use --live{names}"
    )))
}

/// Names the tasks that are not in the copy.
fn left_out(copied: &Copied) -> String {
    let id = |id: &TaskId| output::plain(id.as_str());
    let mut lines = Vec::new();
    for (task, holder) in &copied.duplicates {
        lines.push(format!("{}: its unique key is held by {}", id(task), id(holder)));
    }
    for (task, why) in &copied.refused {
        lines.push(format!("{}: {}", id(task), output::plain(why)));
    }
    for task in &copied.corrupt {
        lines.push(format!("{}: its record cannot be read", id(task)));
    }
    format!("{} tasks were left out:\n  {}", lines.len(), lines.join("\n  "))
}

fn as_json(copied: &Copied, dry_run: bool) -> serde_json::Value {
    let duplicates = copied.duplicates.iter();
    let refused = copied.refused.iter();
    json!({
        "dry_run": dry_run,
        "copied": copied.copied,
        "kept": copied.kept,
        "duplicates": duplicates
            .map(|(task, holder)| json!({ "task_id": task, "holder": holder }))
            .collect::<Vec<_>>(),
        "refused": refused
            .map(|(task, why)| json!({ "task_id": task, "problem": why }))
            .collect::<Vec<_>>(),
        "corrupt": copied.corrupt,
        "paused_queues": copied.paused,
    })
}

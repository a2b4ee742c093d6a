//! `taskshed import`: the tasks of another scheduler, in a store.

#![expect(clippy::doc_markdown, reason = "these texts are the help, which knows no markdown")]

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::config::Flags;
use crate::config::Settings;
use crate::config::StoreUrl;
use crate::scheduler::CopyError;
use crate::scheduler::Imported;
use crate::scheduler::Scheduler;
use crate::store::connect::open_python;
use crate::store::python::PythonTasks;

use super::failure::Failure;
use super::output;
use super::output::Format;
use super::store;

/// After how many tasks a word is said on the way.
const TELL_EVERY: u64 = 10_000;

/// What else can be done about a store that does not answer.
const ADVICE: &str = "name another one; the same command again goes on from where it was";

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Copy the tasks of the Python library TaskShed: its Redis keys `scheduler:*` or its MySQL table
    /// `_taskshed_data`
    ///
    /// Stop its workers first: what they run meanwhile may run twice. Tasks that are there already
    /// are kept, so the same command may be repeated.
    TaskshedPython(TaskshedPython),
}

#[derive(Debug, Args)]
struct TaskshedPython {
    /// Where the library keeps its tasks: `redis://HOST:PORT/DB` or
    /// `mysql://USER:PASSWORD@HOST/DATABASE`; nothing is changed there
    #[arg(long, value_name = "URL")]
    from: StoreUrl,

    /// Store to copy into [env: TASKSHED_STORE] [default: the store of the settings]
    #[arg(long, value_name = "URL")]
    to: Option<String>,

    /// Namespace in that store [env: TASKSHED_NAMESPACE]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// What a write must have reached there: `memory`, `fsync`, `replicated:N` [env:
    /// TASKSHED_DURABILITY] [default: memory]
    #[arg(long, value_name = "HOW")]
    durability: Option<String>,

    /// Say what would be copied, and write no task
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn set(&self, flags: &mut Flags) {
        let From::TaskshedPython(import) = &self.from;
        flags.set("store", import.to.clone());
        flags.set("namespace", import.namespace.clone());
        flags.set("durability", import.durability.clone());
    }

    pub(super) fn run(&self, settings: &Settings, asked: Option<Format>) -> Result<(), Failure> {
        let From::TaskshedPython(import) = &self.from;
        if settings.store.reveal().starts_with("memory:") {
            let what = "memory: ends with this process; name a store that stays with --to";
            return Err(Failure::Usage(what.into()));
        }
        let from = open_python(import.from.reveal());
        let mut from = from.map_err(|error| store::explain_at(&import.from, &error, ADVICE))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let imported = runtime.block_on(import.import(&mut *from, settings))?;
        import.show(&imported, Format::chosen(asked))?;
        if imported.refused.is_empty() {
            return Ok(());
        }
        Err(Failure::Refused(left_out(&imported)))
    }
}

impl TaskshedPython {
    async fn import(
        &self,
        from: &mut dyn PythonTasks,
        settings: &Settings,
    ) -> Result<Imported, Failure> {
        let to = store::open(settings)?;
        to.prepare().await.map_err(|error| store::explain(settings, &error))?;
        let scheduler = Scheduler::new(to).kwargs_bytes_max(settings.max_kwargs_bytes);
        let mut told = 0;
        let tell = |imported: &Imported| {
            let done = imported.imported + imported.kept;
            if done / TELL_EVERY > told {
                told = done / TELL_EVERY;
                output::note(&format!("{done} tasks so far"));
            }
        };
        let imported = if self.dry_run {
            scheduler.would_import(from, tell).await
        } else {
            scheduler.import(from, tell).await
        };
        imported.map_err(|error| match error {
            CopyError::From(error) => store::explain_at(&self.from, &error, ADVICE),
            CopyError::To(error) => store::explain(settings, &error),
        })
    }

    fn show(&self, imported: &Imported, format: Format) -> Result<(), Failure> {
        if format != Format::Table {
            let refused = imported.refused.iter();
            return output::json(&json!({
                "dry_run": self.dry_run,
                "imported": imported.imported,
                "kept": imported.kept,
                "refused": refused
                    .map(|(task, why)| json!({ "task_id": task, "problem": why }))
                    .collect::<Vec<_>>(),
            }));
        }
        let verb = if self.dry_run { "would be imported" } else { "imported" };
        output::line(&format!("{} {verb}, {} there already", imported.imported, imported.kept))?;
        if imported.imported + imported.kept == 0 && imported.refused.is_empty() {
            output::note(
                "there was nothing to import: is it the right URL, and the right database?",
            );
        }
        Ok(())
    }
}

/// Names the tasks that were not imported.
fn left_out(imported: &Imported) -> String {
    let lines = imported.refused.iter();
    let lines: Vec<String> =
        lines.map(|(id, why)| format!("{}: {}", output::plain(id), output::plain(why))).collect();
    format!("{} tasks were left out:\n  {}", lines.len(), lines.join("\n  "))
}

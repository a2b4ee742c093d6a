//! A store in several partitions, of which a test sees one: what the contract promises of all tasks
//! such a store promises of those whose ids and unique keys share a `{tag}`.
//!
//! The tag is put behind each id and key on the way in, and taken off on the way out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::domain::id::UniqueKey;
use taskshed::domain::task::Spec;
use taskshed::domain::time::Timestamp;
use taskshed::store::*;

/// Tasks that share a tag.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    inner: Arc<dyn Store>,
    /// A blank and a tag. No id of a test has a character before the blank, so the order of ids is
    /// that of their names.
    tag: Arc<str>,
}

impl Gathered {
    /// The tasks with `tag` in another store.
    pub(crate) fn of(inner: Arc<dyn Store>, tag: &str) -> Self {
        Self { inner, tag: format!(" {{{tag}}}").into() }
    }

    /// An add with other names and specs.
    fn add_in(&self, add: &Add) -> Add {
        let mut add = add.clone();
        for task in &mut add.tasks {
            task.id = self.id_in(&task.id);
            task.spec = self.spec_in(&task.spec);
        }
        add
    }

    fn id_in(&self, id: &TaskId) -> TaskId {
        TaskId::parse(&format!("{id}{}", self.tag)).unwrap()
    }

    fn id_out(&self, id: &TaskId) -> TaskId {
        TaskId::parse(id.as_str().strip_suffix(&*self.tag).unwrap()).unwrap()
    }

    fn spec_in(&self, spec: &Arc<Spec>) -> Arc<Spec> {
        with_key(spec, |key| format!("{key}{}", self.tag))
    }

    fn spec_out(&self, spec: &Arc<Spec>) -> Arc<Spec> {
        with_key(spec, |key| key.strip_suffix(&*self.tag).unwrap().to_owned())
    }

    fn task_in(&self, task: &mut TaskRecord) {
        task.id = self.id_in(&task.id);
        task.spec = self.spec_in(&task.spec);
    }

    fn task_out(&self, task: &mut TaskRecord) {
        task.id = self.id_out(&task.id);
        task.spec = self.spec_out(&task.spec);
    }

    fn ids_out(&self, ids: &mut [TaskId]) {
        for id in ids {
            *id = self.id_out(id);
        }
    }
}

fn with_key(spec: &Arc<Spec>, named: impl Fn(&str) -> String) -> Arc<Spec> {
    let Some(key) = &spec.unique_key else { return Arc::clone(spec) };
    let unique_key = Some(UniqueKey::parse(&named(key.as_str())).unwrap());
    Arc::new(Spec { unique_key, ..Spec::clone(spec) })
}

#[async_trait]
impl Tasks for Gathered {
    async fn add(&self, add: &Add) -> Result<Added> {
        let add = self.add_in(add);
        let mut added = self.inner.add(&add).await?;
        for outcome in &mut added.outcomes {
            if let AddOutcome::Duplicate(holder) = outcome {
                *holder = self.id_out(holder);
            }
        }
        Ok(added)
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        let ids = fetch.ids.iter().map(|id| self.id_in(id)).collect();
        let mut found = self.inner.fetch(&Fetch { ids, watch: fetch.watch }).await?;
        found.iter_mut().flatten().for_each(|task| self.task_out(task));
        Ok(found)
    }

    async fn list(&self, list: &List) -> Result<Page> {
        let mut page = self.inner.list(list).await?;
        page.tasks.iter_mut().for_each(|task| self.task_out(task));
        self.ids_out(&mut page.corrupt);
        Ok(page)
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        let mut change = change.clone();
        if let Target::Ids(ids) = &mut change.target {
            for id in ids {
                *id = self.id_in(id);
            }
        }
        let mut changed = self.inner.change(&change).await?;
        self.ids_out(&mut changed.missing);
        changed.skipped.iter_mut().for_each(|(id, _)| *id = self.id_out(id));
        Ok(changed)
    }

    async fn stats(&self) -> Result<Stats> {
        self.inner.stats().await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        let mut restore = restore.clone();
        restore.tasks.iter_mut().for_each(|arrival| self.task_in(&mut arrival.task));
        let mut restored = self.inner.restore(&restore).await?;
        for outcome in &mut restored.outcomes {
            if let RestoreOutcome::Duplicate(holder) = outcome {
                *holder = self.id_out(holder);
            }
        }
        Ok(restored)
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.inner.set_queue(queue, gate).await
    }
}

#[async_trait]
impl Queue for Gathered {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let mut claimed = self.inner.claim(claim).await?;
        claimed.tasks.iter_mut().for_each(|task| self.task_out(task));
        self.ids_out(&mut claimed.corrupt);
        Ok(claimed)
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        let mut kept = self.inner.keep(keep).await?;
        kept.stop.iter_mut().for_each(|stop| stop.task = self.id_out(&stop.task));
        Ok(kept)
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.inner.drain(node).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        let mut items = items.to_vec();
        for item in &mut items {
            item.task = self.id_in(&item.task);
            item.spec = self.spec_in(&item.spec);
        }
        self.inner.ack(&items).await
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        self.inner.hints(process).await
    }
}

#[async_trait]
impl Leadership for Gathered {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.inner.campaign(campaign).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.inner.resign(resign).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        let mut answer = self.inner.leases(look).await?;
        if let Led::Done(looked) = &mut answer {
            let tasks = looked.leases.iter_mut().flat_map(|view| &mut view.tasks);
            tasks.for_each(|task| self.task_out(task));
        }
        Ok(answer)
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        let mut reclaim = reclaim.clone();
        for item in &mut reclaim.items {
            item.task = self.id_in(&item.task);
            item.spec = self.spec_in(&item.spec);
        }
        self.inner.reclaim(&reclaim).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        self.inner.maintain(maintain).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        let what = match &declare.what {
            Declaration::Add(add) => Declaration::Add(self.add_in(add)),
            Declaration::Remove(ids) => {
                Declaration::Remove(ids.iter().map(|id| self.id_in(id)).collect())
            }
        };
        self.inner.declare(&Declare { mandate: declare.mandate.clone(), what }).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.inner.cluster().await
    }
}

#[async_trait]
impl Store for Gathered {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn part(&self, name: &str) -> usize {
        self.inner.part(&format!("{name}{}", self.tag))
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(Self { inner: self.inner.apart(), tag: Arc::clone(&self.tag) })
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.inner.migrate().await
    }

    async fn prepare(&self) -> Result<()> {
        self.inner.prepare().await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        self.inner.check(lease).await
    }
}

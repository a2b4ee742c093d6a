//! The schedules of the own file: looked at when a term begins, and put right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rand::RngExt;

use crate::domain::declared::Declared;
use crate::domain::declared::InForce;
use crate::domain::declared::Standing;
use crate::domain::declared::Steps;
use crate::domain::declared::register_id;
use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::task::NewTask;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::leader::MAINTAIN_EVERY;
use crate::leader::duty::Duties;
use crate::leader::election::Over;
use crate::store::Add;
use crate::store::BATCH_MAX;
use crate::store::Declaration;
use crate::store::Declare;
use crate::store::Existing;
use crate::store::Fetch;
use crate::store::Led;
use crate::store::Store;

/// Schedules that are to hold while a node leads, unless newer ones do.
#[derive(Clone)]
pub struct Declares {
    /// The schedules.
    pub declared: Arc<Declared>,
    /// Where their tasks are read.
    pub store: Arc<dyn Store>,
}

impl fmt::Debug for Declares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declares")
            .field("edition", &self.declared.edition)
            .field("schedules", &self.declared.tasks.len())
            .finish_non_exhaustive()
    }
}

/// What the store has of them.
struct Found {
    register: Option<TaskRecord>,
    tasks: BTreeMap<TaskId, TaskRecord>,
}

/// Whether there is a use in trying again.
type Outcome<T> = std::result::Result<Option<T>, Over>;

impl Duties<'_> {
    /// Lets the schedules of the own file hold, once a term. One read if they do already; if the store
    /// is away, again after a second.
    ///
    /// Each write carries the mandate, and what is read is read after the term was won. So nobody who
    /// led before changes anything that was read here (L1).
    pub(super) async fn declare(&mut self) -> std::result::Result<(), Over> {
        self.declare_at = None;
        let Some(declares) = self.candidate.declares.clone() else { return Ok(()) };
        if self.settle(&declares).await?.is_none() {
            self.declare_at = Some(self.candidate.clock.steady() + MAINTAIN_EVERY);
        }
        Ok(())
    }

    async fn settle(&mut self, declares: &Declares) -> Outcome<()> {
        let Some(found) = self.look_up(declares).await? else { return Ok(None) };
        let declared = &declares.declared;
        let held = found.register.as_ref().and_then(InForce::read);
        match declared.standing(held.as_ref()) {
            Standing::Same | Standing::Newer => {}
            Standing::Older => {
                tracing::warn!(
                    revision = declared.revision,
                    in_force = held.map_or(0, |held| held.revision),
                    "newer schedules than those of this node's file are in force and stay; to bring \
                     these back, raise `revision` under [schedules]"
                );
                return Ok(Some(()));
            }
            Standing::Unclear => {
                tracing::error!(
                    revision = declared.revision,
                    "too many sets of schedules had this revision; raise `revision` under [schedules]"
                );
                return Ok(Some(()));
            }
        }

        let steps = |now| declared.steps(found.register.as_ref(), &found.tasks, now);
        let is_settled = steps(Timestamp::EPOCH).is_ok_and(|steps| steps.is_empty());
        if is_settled {
            return Ok(Some(()));
        }
        let Some(now) = self.now(declares).await? else { return Ok(None) };
        match steps(now) {
            Ok(steps) => self.take(steps).await,
            Err(fault) => {
                tracing::error!(%fault, "schedules cannot be declared");
                Ok(Some(()))
            }
        }
    }

    /// The register and the tasks that exist, by as many calls as they need: one, usually.
    async fn look_up(&mut self, declares: &Declares) -> Outcome<Found> {
        let register = register_id();
        let wanted: Vec<TaskId> =
            [register.clone()].into_iter().chain(declares.declared.tasks.keys().cloned()).collect();
        let mut tasks = BTreeMap::new();
        for ids in wanted.chunks(BATCH_MAX) {
            let sent = self.begin()?;
            let answer = declares.store.fetch(&Fetch { ids: ids.to_vec(), watch: None }).await;
            let Some(some) = self.heed("fetch", sent, answer.map(Led::Done))? else {
                return Ok(None);
            };
            tasks.extend(some.into_iter().flatten().map(|task| (task.id.clone(), task)));
        }
        Ok(Some(Found { register: tasks.remove(&register), tasks }))
    }

    async fn now(&mut self, declares: &Declares) -> Outcome<Timestamp> {
        let sent = self.begin()?;
        let answer = declares.store.now().await;
        self.heed("now", sent, answer.map(Led::Done))
    }

    async fn take(&mut self, steps: Steps) -> Outcome<()> {
        let register = register_id();
        let added = steps.add.iter().filter(|task| task.id != register).count();
        let removed = steps.remove.len();
        for tasks in steps.add.chunks(BATCH_MAX) {
            if self.add(tasks.to_vec()).await?.is_none() {
                return Ok(None);
            }
        }
        for ids in steps.remove.chunks(BATCH_MAX) {
            if self.write(Declaration::Remove(ids.to_vec())).await?.is_none() {
                return Ok(None);
            }
        }
        if let Some(settled) = steps.settle
            && self.add(vec![settled]).await?.is_none()
        {
            return Ok(None);
        }
        tracing::info!(added, removed, "the schedules of this node's file are in force");
        Ok(Some(()))
    }

    async fn add(&mut self, tasks: Vec<NewTask>) -> Outcome<()> {
        let request = RequestId::generate(self.rng.random());
        self.write(Declaration::Add(Add { request, tasks, existing: Existing::Replace })).await
    }

    async fn write(&mut self, what: Declaration) -> Outcome<()> {
        let sent = self.begin()?;
        let declare = Declare { mandate: self.tenure.mandate.clone(), what };
        let answer = self.candidate.store.declare(&declare).await;
        self.heed("declare", sent, answer)
    }
}

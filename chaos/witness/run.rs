//! A run, as its handler writes it down.

use taskshed::Context;

use crate::checker::history::End;
use crate::checker::history::Event;
use crate::checker::history::Started;

use super::Witness;

/// A run from its start to its end. If it is dropped in between, the run was stopped.
#[derive(Debug)]
pub(crate) struct Noted {
    witness: Witness,
    task: String,
    fence: u64,
    has_ended: bool,
}

impl Noted {
    /// The handler begins. A run is stoppable unless it blocks its thread.
    pub(crate) fn start(witness: &Witness, context: &Context, stoppable: bool) -> Self {
        let task = context.task().id.as_str().to_owned();
        let (planned, fence) = (context.task().planned_at.as_us(), context.fence().0);
        let attempt = context.attempt();
        let start = Started { task: task.clone(), planned, attempt, fence, stoppable };
        witness.see(Event::Started(start));
        Self { witness: witness.clone(), task, fence, has_ended: false }
    }

    /// The handler is still at it.
    pub(crate) fn beat(&self) {
        self.witness.see(Event::Beat { task: self.task.clone(), fence: self.fence });
    }

    /// The handler is done.
    pub(crate) fn end(mut self, how: End) {
        self.put_down(how);
    }

    fn put_down(&mut self, how: End) {
        self.has_ended = true;
        self.witness.see(Event::Ended { task: self.task.clone(), fence: self.fence, how });
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.has_ended {
            self.put_down(End::Stopped);
        }
    }
}

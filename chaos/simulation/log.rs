//! The one book of a simulation, and what its owner writes into it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use taskshed::clock::Clock;

use crate::checker::history::Call;
use crate::checker::history::Event;
use crate::checker::history::Line;
use crate::checker::history::Phase;
use crate::clocks::MachineClock;
use crate::gate::ProcessGate;
use crate::witness::Book;
use crate::witness::Witness;
use crate::world::World;

/// Above all numbers of calls that are waited for.
const STRAYS: u64 = 1_000_000_000;

/// Takes the lines of all who write, and writes for who owns the cluster.
#[derive(Clone)]
pub(crate) struct Log {
    clock: Arc<dyn Clock>,
    lines: Lines,
    owner: Witness,
    faults: Arc<Mutex<u64>>,
}

type Lines = Arc<Mutex<Vec<Line>>>;

impl Log {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::of_witnesses(world));
        let lines = Lines::default();
        let book = Arc::new(Pen { lines: Arc::clone(&lines), gate: None });
        let owner = Witness::new("owner", Arc::clone(&clock), book);
        Self { clock, lines, owner, faults: Arc::default() }
    }

    /// Who writes for a process; nothing after that was killed.
    pub(crate) fn witness(&self, by: &str, gate: Option<&ProcessGate>) -> Witness {
        let book = Arc::new(Pen { lines: Arc::clone(&self.lines), gate: gate.cloned() });
        Witness::new(by, Arc::clone(&self.clock), book)
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.owner.now()
    }

    pub(crate) fn write(&self, event: Event) {
        self.owner.see(event);
    }

    /// A call whose answer was not waited for: it may have its effect at any time after it was sent.
    pub(crate) fn stray(&self, by: &str, at: u64, what: Call) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let call = STRAYS + lines.len() as u64;
        lines.push(Line { at, by: by.to_owned(), event: Event::Invoked { call, what } });
    }

    /// A fault begins. Answers its number.
    pub(crate) fn begin(&self, fault: &str, process: Option<&str>) -> u64 {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults += 1;
        let number = *faults;
        drop(faults);
        self.fault(number, fault, process, Phase::Begun);
        number
    }

    pub(crate) fn end(&self, number: u64, fault: &str, process: Option<&str>) {
        self.fault(number, fault, process, Phase::Over);
    }

    /// All that was written.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fault(&self, number: u64, fault: &str, process: Option<&str>, phase: Phase) {
        let (fault, process) = (fault.to_owned(), process.map(str::to_owned));
        self.write(Event::Fault { number, fault, process, phase });
    }
}

/// What one process writes with.
struct Pen {
    lines: Lines,
    gate: Option<ProcessGate>,
}

impl Book for Pen {
    fn put(&self, line: Line) {
        if !self.gate.as_ref().is_some_and(ProcessGate::is_dead) {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").finish_non_exhaustive()
    }
}

//! A thread that notices when its whole process stood still.

use std::io;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::checker::history::Event;
use crate::witness::Witness;

const EVERY: Duration = Duration::from_millis(20);

/// How late the thread must be to count as stood still.
const LATE: Duration = Duration::from_millis(80);

/// Writes down each time that this process stood still.
pub(crate) fn watch(process: String, witness: Witness) -> io::Result<()> {
    let alarm = SystemClock.alarm();
    let beat = move || {
        let mut last = SystemClock.steady();
        loop {
            alarm.wait(Some(last + EVERY));
            let now = SystemClock.steady();
            if now > last + EVERY + LATE {
                let us = |at: Duration| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
                let (process, from, to) = (process.clone(), us(last), us(now));
                witness.see(Event::Paused { process, from, to });
            }
            last = now;
        }
    };
    std::thread::Builder::new().name("pulse".to_owned()).spawn(beat)?;
    Ok(())
}

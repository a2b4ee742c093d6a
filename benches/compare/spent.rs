//! Seconds of CPU of other processes.

use crate::speed_report::of;

/// What all threads of a process have used.
///
/// Threads that live tell nanoseconds. Those that have ended show only in the count of the process, in
/// ticks of 10 ms for user and system each, which is taken where it is more. Either is too little by
/// less than 20 ms at worst. A process that has ended is counted until it is waited for.
pub(crate) fn by(process: &str) -> f64 {
    threads(process).max(ticks(process))
}

fn threads(process: &str) -> f64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return 0.0 };
    let spent = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<usize>().ok()
    });
    of(spent.sum()) / 1e9
}

fn ticks(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Names may hold blanks, so fields are counted behind them.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<usize>().ok());
    of(ticks.sum()) / 100.0
}

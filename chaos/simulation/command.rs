//! Plays many seeds, on all cores.

use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::checker::history::write;
use crate::judge::Fault;
use crate::judge::judge;
use crate::judge::judged;
use crate::missing::Missing;
use crate::run::run;

const HELP: &str = "\
Play a cluster from a seed, and see what it keeps of its promises.

  cargo sim -- [--from N] [--seeds N] [--without SAFEGUARD] [--history FILE]

  --from N             the first seed (1)
  --seeds N            how many (1000)
  --without SAFEGUARD  take one away, to see that it is noticed
  --history FILE       write down what happened under the first seed

It ends with 1 at the first seed that breaks a promise.";

/// How often it tells how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// What to play.
#[derive(Debug)]
pub(crate) struct Orders {
    from: u64,
    seeds: u64,
    missing: Missing,
    history: Option<String>,
}

impl Orders {
    /// Reads the arguments; what is wrong with them, else.
    pub(crate) fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut orders = Self { from: 1, seeds: 1000, missing: Missing::Nothing, history: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| HELP.to_owned())?;
            let number = || value.parse().map_err(|_| format!("{name} must be a number"));
            match name.as_str() {
                "--from" => orders.from = number()?,
                "--seeds" => orders.seeds = number()?,
                "--history" => orders.history = Some(value),
                "--without" => {
                    orders.missing = Missing::named(&value)
                        .ok_or_else(|| format!("safeguards are {}", Missing::names()))?;
                }
                _ => return Err(HELP.to_owned()),
            }
        }
        Ok(orders)
    }

    /// Plays, and tells what was found.
    pub(crate) fn run(&self) -> ExitCode {
        if let Some(path) = &self.history
            && let Err(error) = self.write_down(path)
        {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let play = Play::new(self);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| play.work());
            }
        });
        play.tell(threads)
    }

    fn write_down(&self, path: &str) -> std::io::Result<()> {
        let mut history = run(self.from, self.missing);
        let _told_by_the_play = judged(&mut history);
        let mut file = BufWriter::new(File::create(path)?);
        history.lines.iter().try_for_each(|line| write(line, &mut file))
    }

    fn command(&self, seed: u64) -> String {
        let without = if self.missing == Missing::Nothing {
            String::new()
        } else {
            format!(" --without {}", self.missing.name())
        };
        format!("cargo sim -- --from {seed} --seeds 1{without}")
    }
}

/// Seeds under way.
struct Play<'a> {
    orders: &'a Orders,
    next: AtomicU64,
    done: AtomicU64,
    is_over: AtomicBool,
    /// The lowest seed that went wrong.
    fault: Mutex<Option<(u64, Fault)>>,
    began: Duration,
    told_at: Mutex<Duration>,
}

impl<'a> Play<'a> {
    fn new(orders: &'a Orders) -> Self {
        let began = SystemClock.steady();
        Self {
            orders,
            next: AtomicU64::new(orders.from),
            done: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            fault: Mutex::default(),
            began,
            told_at: Mutex::new(began),
        }
    }

    fn work(&self) {
        while !self.is_over.load(Relaxed) {
            let seed = self.next.fetch_add(1, Relaxed);
            if seed >= self.orders.from + self.orders.seeds {
                return;
            }
            if let Err(fault) = judge(seed, self.orders.missing) {
                self.is_over.store(true, Relaxed);
                let mut known = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                if known.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *known = Some((seed, fault));
                }
            }
            self.done.fetch_add(1, Relaxed);
            self.tell_progress();
        }
    }

    fn tell_progress(&self) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.steady();
        if now.saturating_sub(*told_at) >= TOLD_EVERY {
            *told_at = now;
            let done = self.done.load(Relaxed);
            println!("{done} seeds after {} s", now.saturating_sub(self.began).as_secs());
        }
    }

    fn tell(&self, threads: usize) -> ExitCode {
        let took = SystemClock.steady().saturating_sub(self.began).as_secs_f64();
        let done = self.done.load(Relaxed);
        println!("{done} seeds from {} in {took:.1} s on {threads} threads", self.orders.from);
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((seed, fault)) = &*fault else {
            println!("none broke a promise");
            return ExitCode::SUCCESS;
        };
        println!("seed {seed} broke {:?}\n\n{}", fault.ids, fault.explanation);
        println!("\nagain: {}", self.orders.command(*seed));
        ExitCode::FAILURE
    }
}

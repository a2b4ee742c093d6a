//! What goes wrong, and when.

use std::sync::Arc;
use std::time::Duration;

use crate::call::now;
use crate::checker::history::Event;
use crate::clocks::MachineClock;
use crate::dice::Dice;
use crate::link::Cut;
use crate::link::Link;
use crate::link::Weather;
use crate::log::Log;
use crate::plan::FaultKind;
use crate::plan::Plan;
use crate::process::Machine;
use crate::process::Process;
use crate::server::Server;
use crate::world::World;
use taskshed::store::Leadership;

/// Brings faults over a cluster.
pub(crate) struct Nemesis {
    pub(crate) world: Arc<World>,
    pub(crate) log: Log,
    pub(crate) server: Arc<Server>,
    pub(crate) store_clock: Arc<MachineClock>,
    pub(crate) machines: Vec<Arc<Machine>>,
    /// Of clients.
    pub(crate) links: Vec<Arc<Link>>,
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
}

impl Nemesis {
    /// Lets faults happen for as long as planned, and heals all in the end.
    pub(crate) async fn rage(mut self) {
        let until = self.plan.length;
        loop {
            let pause = self.plan.fault_every * self.small(2000) / 1000;
            self.world.sleep(pause).await;
            if self.world.now() >= until {
                return;
            }
            let kinds = self.plan.faults.clone();
            let kind = self.dice.pick(&kinds);
            self.strike(kind).await;
        }
    }

    /// A number below `count`, which is small.
    fn small(&mut self, count: usize) -> u32 {
        u32::try_from(self.dice.below(count)).unwrap_or(0)
    }

    async fn strike(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::Kill => self.kill(None),
            FaultKind::KillLeader => self.kill(self.leader()),
            FaultKind::Freeze => self.freeze(None).await,
            FaultKind::FreezeLeader => self.freeze(self.leader()).await,
            FaultKind::Block => self.block().await,
            FaultKind::Drain => self.drain(),
            FaultKind::Cut => self.cut().await,
            FaultKind::Lossy => self.lossy().await,
            FaultKind::Slow => self.slow().await,
            FaultKind::StoreFreeze => self.freeze_store().await,
            FaultKind::StoreRestart => self.restart_store().await,
            FaultKind::Failover => self.fail_over().await,
            FaultKind::StoreClock => self.set_store_clock(),
            FaultKind::Resign => {
                let resign = taskshed::store::Resign { process: None };
                let _whoever_led = now(self.server.store().resign(&resign));
                self.note("resign", None);
            }
        }
    }

    fn kill(&mut self, which: Option<Arc<Machine>>) {
        let machine = which.unwrap_or_else(|| self.any());
        let down_ms = self.dice.pick(&[10, 500, 3000, 15_000]);
        if let Some(process) = machine.present() {
            machine.stay_down(Duration::from_millis(down_ms));
            process.kill();
        }
    }

    async fn freeze(&mut self, which: Option<Arc<Machine>>) {
        let machine = which.unwrap_or_else(|| self.any());
        let leases = self.dice.pick(&[0.1, 0.5, 1.0, 1.5, 3.0]);
        let Some(process) = machine.present() else { return };
        process.freeze();
        self.world.sleep(self.plan.lease.mul_f64(leases)).await;
        process.thaw();
    }

    /// A handler blocks all threads of its runtime.
    async fn block(&mut self) {
        let Some(process) = self.any().present() else { return };
        let leases = self.dice.pick(&[0.5, 1.5, 3.0]);
        let length = self.plan.lease.mul_f64(leases);
        let from = self.log.now_us();
        self.during("block", Some(&process), length, |is_on| process.gate.block(is_on)).await;
        let (process, to) = (process.name.clone(), self.log.now_us());
        self.log.write(Event::Blocked { process, from, to });
    }

    fn drain(&mut self) {
        self.any().drain();
    }

    async fn cut(&mut self) {
        let length = self.length();
        let cut = Some(self.dice.pick(&[Cut::Refused, Cut::HalfOpen]));
        let weather = Weather { cut, ..Weather::FAIR };
        let machine = self.any();
        let process = machine.present();
        self.storm(("cut", process), length, weather, &[Arc::clone(&machine.link)]).await;
    }

    async fn lossy(&mut self) {
        let length = self.length();
        let lost = |dice: &mut Dice| dice.pick(&[0, 5, 20, 50]);
        let (requests_lost, replies_lost) = (lost(&mut self.dice), lost(&mut self.dice));
        let weather = Weather { requests_lost, replies_lost, ..Weather::FAIR };
        let links = self.some_links();
        self.storm(("lossy", None), length, weather, &links).await;
    }

    async fn slow(&mut self) {
        let length = self.length();
        let slow = Duration::from_millis(self.dice.pick(&[50, 300, 1500]));
        let links = self.some_links();
        self.storm(("slow", None), length, Weather { slow, ..Weather::FAIR }, &links).await;
    }

    async fn freeze_store(&mut self) {
        let server = Arc::clone(&self.server);
        let length = self.length();
        let act = |is_on: bool| if is_on { server.freeze() } else { server.thaw() };
        self.during("store_freeze", None, length, act).await;
    }

    async fn restart_store(&mut self) {
        let server = Arc::clone(&self.server);
        let length = self.length();
        let act = |is_on: bool| if is_on { server.stop() } else { server.start() };
        self.during("store_restart", None, length, act).await;
    }

    /// The primary dies; a replica that lags takes its place.
    async fn fail_over(&mut self) {
        let server = Arc::clone(&self.server);
        let lag = Duration::from_millis(self.dice.pick(&[5, 100, 600, 1500]));
        let down = Duration::from_millis(self.dice.pick(&[100, 1000, 5000]));
        let waits = self.plan.replicated;
        let name = if waits { "failover" } else { "failover_losing" };
        let fault = self.log.begin(name, None);
        server.lag(waits);
        self.world.sleep(lag).await;
        if self.dice.chance(15) {
            server.catch_up();
        } else {
            server.stop();
            self.world.sleep(down).await;
            // The replica's clock is not quite that of the primary.
            let us = i64::try_from(down.as_micros()).unwrap_or(0) / 2;
            let jump = self.dice.pick(&[0, us, -us]);
            self.store_clock.set_by(jump);
            server.start();
        }
        self.log.end(fault, name, None);
    }

    fn set_store_clock(&mut self) {
        let far = if self.plan.catches_up { 10 } else { 3600 };
        let seconds = self.dice.pick(&[-far, -20, -2, 2, 20, far]);
        let ahead = self.store_clock.ahead_us() / 1_000_000;
        // It comes back to where it was, more or less.
        let seconds = if ahead == 0 { seconds } else { -ahead };
        self.store_clock.set_by(seconds * 1_000_000);
        self.note("store_clock", None);
    }

    fn note(&self, fault: &str, process: Option<&Process>) {
        let process = process.map(|process| process.name.as_str());
        let number = self.log.begin(fault, process);
        self.log.end(number, fault, process);
    }

    /// Weather over some links; `fault` names it, and the process that it is about.
    async fn storm(
        &mut self,
        fault: (&str, Option<Arc<Process>>),
        length: Duration,
        weather: Weather,
        links: &[Arc<Link>],
    ) {
        let act = |is_on: bool| {
            for link in links {
                link.set(if is_on { weather } else { Weather::FAIR });
            }
        };
        self.during(fault.0, fault.1.as_ref(), length, act).await;
    }

    async fn during(
        &mut self,
        fault: &str,
        process: Option<&Arc<Process>>,
        length: Duration,
        act: impl Fn(bool),
    ) {
        let process = process.map(|process| process.name.as_str());
        let number = self.log.begin(fault, process);
        act(true);
        self.world.sleep(length).await;
        act(false);
        self.log.end(number, fault, process);
    }

    /// From a blink to a few leases.
    fn length(&mut self) -> Duration {
        let leases = self.dice.pick(&[0.05, 0.3, 0.6, 1.0, 1.5, 3.0]);
        self.plan.lease.mul_f64(leases)
    }

    fn any(&mut self) -> Arc<Machine> {
        self.dice.pick(&self.machines)
    }

    /// The machine of the leader, if there is one.
    fn leader(&self) -> Option<Arc<Machine>> {
        let leader = now(self.server.store().cluster()).leader?;
        let leads = |machine: &&Arc<Machine>| {
            machine.present().and_then(|process| process.id()) == Some(leader.process.clone())
        };
        self.machines.iter().find(leads).cloned()
    }

    /// The link of one machine or client, or all.
    fn some_links(&mut self) -> Vec<Arc<Link>> {
        let mut links: Vec<Arc<Link>> =
            self.machines.iter().map(|machine| Arc::clone(&machine.link)).collect();
        links.extend(self.links.iter().cloned());
        if self.dice.chance(40) { links } else { vec![self.dice.pick(&links)] }
    }
}

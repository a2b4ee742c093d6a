//! The store's own calls to Redis, sent again by a bare connection.
//!
//! What a call looks like is the store's affair, so it is learnt by watching: the store adds, claims
//! and acks one batch while `MONITOR` shows what it sends. The replay sends the same calls with
//! other ids. They are made before the clock starts, several are under way at once, and of what is
//! answered only that is read which the next call needs: the fence and the ids of a claim.

use std::collections::VecDeque;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::TaskId;
use taskshed::store::Existing;

use crate::add::wide;
use crate::place::Place;
use crate::redis_server::RedisServer;
use crate::work::ack;
use crate::work::claim;
use crate::work::timed;

/// A connection without a driver.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) fn connect(server: &RedisServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 16, stream))
    }

    fn send(&mut self, calls: &[u8]) {
        self.0.get_mut().write_all(calls).unwrap();
    }

    /// An answer as it came.
    fn answer(&mut self) -> Vec<u8> {
        let (mut answer, mut left) = (Vec::new(), 1);
        while left > 0 {
            left -= 1;
            let start = answer.len();
            self.0.read_until(b'\n', &mut answer).unwrap();
            let (kind, rest) = answer[start..].split_first().unwrap();
            // What is not there has the count -1.
            let count = || std::str::from_utf8(rest).unwrap().trim_end().parse::<u64>().ok();
            match kind {
                b'*' => left += count().unwrap_or_default(),
                b'$' => {
                    let text = count().map_or(0, |length| length + 2);
                    self.0.by_ref().take(text).read_to_end(&mut answer).unwrap();
                }
                kind => assert_ne!(*kind, b'-', "{}", String::from_utf8_lossy(rest)),
            }
        }
        answer
    }

    /// Sends calls that get this many answers each, so many before the first answer is read.
    pub(crate) fn pipelined(
        &mut self,
        calls: &[Vec<u8>],
        answers: usize,
        in_flight: usize,
    ) -> Vec<Vec<u8>> {
        let mut read = Vec::with_capacity(calls.len() * answers);
        for call in 0..calls.len() + in_flight {
            if call >= in_flight {
                read.extend((0..answers).map(|_| self.answer()));
            }
            if let Some(call) = calls.get(call) {
                self.send(call);
            }
        }
        read
    }
}

/// The arguments of a call, of which some are other ones each time.
struct Layout {
    args: Vec<String>,
    /// Which of the values stands in the place of an argument.
    values: Vec<Option<usize>>,
}

impl Layout {
    /// Of the last script that was called since the last time.
    fn seen(monitor: &mut Wire, server: &RedisServer, values: &[String]) -> Self {
        server.tell("ECHO seen");
        let mut last = String::new();
        loop {
            let line = String::from_utf8(monitor.answer()).unwrap();
            if line.contains("\"ECHO\" \"seen\"") {
                break;
            } else if line.contains("] \"EVALSHA\" ") {
                last = line;
            }
        }
        // Arguments are told in quotes, and those of ours escaped as JSON has it.
        let (_, told) = last.split_once("] ").unwrap();
        let args = serde_json::Deserializer::from_str(told).into_iter::<String>();
        let args: Vec<_> = args.collect::<Result<_, _>>().unwrap();
        let values = args.iter().map(|arg| values.iter().position(|value| value == arg)).collect();
        Self { args, values }
    }

    /// The bytes of the call with these values.
    fn call(&self, values: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let mut call = redis::Cmd::new();
        for (arg, value) in self.args.iter().zip(&self.values) {
            call.arg(value.map_or(arg.as_bytes(), |at| values[at].as_ref()));
        }
        call.get_packed_command()
    }
}

/// A client that sends what the store would, as fast as the server takes it.
pub(crate) struct Replay {
    wire: Wire,
    batch: usize,
    in_flight: usize,
    add: Layout,
    claim: Layout,
    ack: Layout,
}

impl Replay {
    /// Learns the calls at an empty place.
    pub(crate) async fn learn(place: &mut Place, batch: usize, in_flight: usize) -> Self {
        let store = place.open().await;
        let Place::Redis(server) = place else { panic!("only scripts can be sent again") };
        let mut monitor = Wire::connect(server);
        monitor.send(b"MONITOR\r\n");
        monitor.answer();

        let scheduler = Scheduler::new(Arc::clone(&store));
        let added = scheduler.add_all((0..batch).map(wide), Existing::Keep).await.unwrap();
        let ids: Vec<_> = added.iter().map(|added| added.task_id.to_string()).collect();
        let add = Layout::seen(&mut monitor, server, &ids);

        let wish = claim(batch);
        let claimed = store.claim(&wish).await.unwrap();
        let mut values = vec![wish.id.to_string()];
        let claim = Layout::seen(&mut monitor, server, &values);

        ack(&store, &claimed).await;
        values.push(claimed.tasks[0].lease.as_ref().unwrap().fence.0.to_string());
        values.extend(claimed.tasks.iter().map(|task| task.id.to_string()));
        let ack = Layout::seen(&mut monitor, server, &values);
        Self { wire: Wire::connect(server), batch, in_flight, add, claim, ack }
    }

    /// Adds tasks, a multiple of the batch.
    pub(crate) async fn add(&mut self, tasks: usize) -> Duration {
        let id = |_| TaskId::generate(now_ms(), rand::random()).to_string();
        let ids = || (0..self.batch).map(id).collect::<Vec<_>>();
        let calls: Vec<_> = (0..tasks / self.batch).map(|_| self.add.call(&ids())).collect();
        timed(async { self.wire.pipelined(&calls, 1, self.in_flight) }).await.1
    }

    /// Claims that many due tasks, and then acks them.
    pub(crate) async fn claim_then_ack(&mut self, tasks: usize) -> [Duration; 2] {
        let claims: Vec<_> = (0..tasks / self.batch).map(|_| claim_id()).collect();
        let calls: Vec<_> = claims.iter().map(|claim| self.claim.call(&[claim])).collect();
        let (claimed, claiming) =
            timed(async { self.wire.pipelined(&calls, 1, self.in_flight) }).await;
        let acks = claims.iter().zip(&claimed);
        let acks: Vec<_> = acks.map(|(claim, claimed)| self.ack_of(claim, claimed)).collect();
        let (acked, acking) = timed(async { self.wire.pipelined(&acks, 1, self.in_flight) }).await;
        assert_eq!(acked.iter().map(|answer| accepted(answer)).sum::<usize>(), tasks);
        [claiming, acking]
    }

    /// Claims that many due tasks and acks them meanwhile, half of the calls of either kind.
    pub(crate) async fn drain(&mut self, tasks: usize) -> Duration {
        let mut claims = (0..tasks / self.batch).map(|_| claim_id());
        // What is answered next: a claim, or an ack.
        let (mut awaited, mut acked) = (VecDeque::new(), Vec::new());
        let ((), took) = timed(async {
            for claim in claims.by_ref().take(self.in_flight.div_ceil(2)) {
                self.wire.send(&self.claim.call(&[&claim]));
                awaited.push_back(Some(claim));
            }
            while let Some(next) = awaited.pop_front() {
                let answer = self.wire.answer();
                let Some(claim) = next else {
                    acked.push(answer);
                    continue;
                };
                let mut calls = self.ack_of(&claim, &answer);
                awaited.push_back(None);
                if let Some(claim) = claims.next() {
                    calls.extend(self.claim.call(&[&claim]));
                    awaited.push_back(Some(claim));
                }
                self.wire.send(&calls);
            }
        })
        .await;
        assert_eq!(acked.iter().map(|answer| accepted(answer)).sum::<usize>(), tasks);
        took
    }

    /// The ack of a claim by what it was answered: now, fence, lease end, next, more, isolate, ids.
    fn ack_of(&self, claim: &str, answer: &[u8]) -> Vec<u8> {
        let Value::Array(mut parts) = redis::parse_redis_value(answer).unwrap() else {
            panic!("a claim is answered by an array")
        };
        let ids: String = redis::from_redis_value(parts.swap_remove(6)).unwrap();
        let ids: Vec<_> = ids.trim_matches('\t').split('\t').collect();
        let fence: Vec<u8> = redis::from_redis_value(parts.swap_remove(1)).unwrap();
        assert_eq!(ids.len(), self.batch);
        let values: Vec<&[u8]> = [claim.as_bytes(), &fence]
            .into_iter()
            .chain(ids.iter().map(|id| id.as_bytes()))
            .collect();
        self.ack.call(&values)
    }
}

fn claim_id() -> String {
    ClaimId::generate(now_ms(), rand::random()).to_string()
}

/// Ids are in the order of their making, as the store's are.
fn now_ms() -> u64 {
    SystemClock.wall().as_us().unsigned_abs() / 1000
}

/// How many outcomes an answer says were accepted, by a digit for each behind its length.
fn accepted(answer: &[u8]) -> usize {
    let (_, digits) = std::str::from_utf8(answer).unwrap().split_once('\n').unwrap();
    digits.matches('1').count()
}

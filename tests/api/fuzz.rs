//! Bodies and addresses from chance: whatever is sent, the answer is well formed and no fault of ours.

use rand::Rng;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Shed;

/// Requests of one test.
const COUNT: usize = 100_000;

const PATHS: &[&str] = &[
    "/v1/tasks",
    "/v1/tasks/pause",
    "/v1/tasks/resume",
    "/v1/tasks/cancel",
    "/v1/tasks/retry",
    "/v1/tasks/remove",
    "/v1/tasks/reschedule",
    "/v1/claims",
    "/v1/claims/c/renew",
    "/v1/claims/c/ack",
];

const NAMES: &[&str] = &[
    "task_id",
    "callback",
    "kwargs",
    "run_at",
    "run_in",
    "run_type",
    "interval",
    "group_id",
    "paused",
    "paused_at",
    "coalesce",
    "cron",
    "timezone",
    "queue",
    "priority",
    "max_attempts",
    "backoff",
    "timeout",
    "expires_at",
    "expires_in",
    "exclusive",
    "unique_key",
    "retention",
    "metadata",
    "tasks",
    "replace_existing",
    "task_ids",
    "state",
    "all",
    "worker",
    "queues",
    "callbacks",
    "limit",
    "lease",
    "wait",
    "claim_id",
    "results",
    "fence",
    "outcome",
    "result",
    "error",
    "delay",
    "x",
    "",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e999",
    "99999999999999999999",
    "\"\"",
    "\"a\"",
    "\"5s\"",
    "\"default\"",
    "\"noop\"",
    "\"* * * * *\"",
    "\"@daily\"",
    "\"UTC\"",
    "\"once\"",
    "\"recurring\"",
    "\"normal\"",
    "\"dead\"",
    "\"2027-02-01T00:00:00Z\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"99999999999999d\"",
    "\"0000000001e9s\"",
    "{}",
    "[]",
    "[1]",
    "{\"a\":\"b\"}",
    "{\"base\":\"1s\"}",
    "\"0 0 31 2 *\"",
    "\"*/0 * * * *\"",
    "\"L L L L L\"",
    "\"MON#9 * * * *\"",
];

struct Chance(StdRng);

impl Chance {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.random_range(0..from.len())]
    }

    fn value(&mut self, depth: usize) -> String {
        match self.0.random_range(0..10) {
            0 if depth < 3 => self.object(depth + 1),
            1 if depth < 3 => {
                let count = self.0.random_range(0..4);
                let items: Vec<_> = (0..count).map(|_| self.value(depth + 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => self.pick(VALUES).into(),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let count = self.0.random_range(0..6);
        let mut members: Vec<_> =
            (0..count).map(|_| format!("\"{}\":{}", self.pick(NAMES), self.value(depth))).collect();
        if self.0.random_bool(0.5) {
            members.push("\"callback\":\"noop\"".into());
        }
        format!("{{{}}}", members.join(","))
    }

    /// A body that is nearly right, or broken in one place.
    fn body(&mut self) -> Vec<u8> {
        let mut body = self.object(0).into_bytes();
        if self.0.random_bool(0.2) && !body.is_empty() {
            let at = self.0.random_range(0..body.len());
            body[at] = (self.0.next_u32() & 0xff) as u8;
        }
        if self.0.random_bool(0.05) {
            body.truncate(self.0.random_range(0..=body.len()));
        }
        body
    }

    fn query(&mut self) -> String {
        let names = ["task_id", "group_id", "queue", "state", "callback", "limit", "cursor", "x"];
        let values = ["", "a", "%ff", "%00", "-1", "0", "1001", "1", "dead", "5s", "%", "a+b", "&"];
        let count = self.0.random_range(0..4);
        let pairs: Vec<_> =
            (0..count).map(|_| format!("{}={}", self.pick(&names), self.pick(&values))).collect();
        pairs.join("&")
    }
}

/// Guards T1, too: of a batch that is refused nothing is stored.
#[tokio::test]
async fn no_body_and_no_query_finds_a_fault_of_the_server() {
    let seed: u64 = 20_271_115;
    let mut chance = Chance(StdRng::seed_from_u64(seed));
    let shed = Shed::new().await;
    let mut client = shed.client().await;
    let mut taken = 0;

    for turn in 0..COUNT {
        let (reply, sent) = if turn % 10 == 0 {
            let path = format!("/v1/tasks?{}", chance.query());
            (client.get(&path).await, path)
        } else {
            let (path, body) = (chance.pick(PATHS), chance.body());
            let adds = shed.store.calls("add");
            let asked = client.ask("POST", path, Some(&body));
            let waits = body.windows(6).any(|word| word == b"\"wait\"");
            let reply = if waits { shed.while_time_passes(asked).await } else { asked.await };
            assert!(
                reply.status < 400 || shed.store.calls("add") == adds,
                "seed {seed} turn {turn}"
            );
            (reply, format!("{path} {}", String::from_utf8_lossy(&body)))
        };

        let status = reply.status;
        assert!(
            matches!(status, 200 | 201 | 400 | 410 | 422),
            "seed {seed} turn {turn}: {status} to {sent}: {reply:?}"
        );
        if status >= 400 {
            reply.problem(status, reply_name(&reply));
        } else {
            reply.json();
            taken += 1;
        }
    }
    assert!(taken > COUNT / 50, "only {taken} of {COUNT} were taken: nothing was tested");
    assert!(taken < COUNT / 2, "{taken} of {COUNT} were taken");
}

fn reply_name(reply: &super::asked::Reply) -> &'static str {
    let names = ["bad-query", "not-json", "gone", "invalid"];
    names.into_iter().find(|name| reply.body.contains(&format!("/problems/{name}"))).unwrap()
}

//! A store with an API in front of it, and a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use taskshed::Scheduler;
use taskshed::clock::ManualClock;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::domain::time::Timestamp;
use taskshed::http::Api;
use taskshed::http::serve;
use taskshed::store::AckItem;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Filter;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::List;
use taskshed::store::Store;
use taskshed::store::SuspectRoom;
use taskshed::store::TaskRecord;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::asked::Client;
use crate::stores::Kind;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What the store's clock shows at first.
const START: &str = "2027-01-15T08:00:00.000000Z";

pub(crate) struct Shed {
    pub(crate) kind: Kind,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scheduler: Scheduler,
    client: Client,
    claims: u32,
    _servers: JoinSet<std::io::Result<()>>,
}

impl Shed {
    pub(crate) async fn of(kind: Kind) -> Self {
        let clock = ManualClock::at(Timestamp::parse(START).unwrap());
        let store = kind.fresh(&clock).await;
        let rng = StdRng::seed_from_u64(1);
        let scheduler = Scheduler::with(Arc::clone(&store), Arc::new(clock.clone()), rng);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client_of = listener.local_addr().unwrap();
        let mut servers = JoinSet::new();
        let api = Api::new(scheduler.clone());
        servers.spawn(serve(listener, api, CancellationToken::new().cancelled_owned()));
        let client = Client::connect(client_of).await;
        Self { kind, clock, store, scheduler, client, claims: 0, _servers: servers }
    }

    /// Sends a body as it is, and expects this answer.
    pub(crate) async fn post(&mut self, path: &str, body: &str, status: u16) -> Value {
        let reply = self.client.post(path, body).await;
        assert_eq!(reply.status, status, "{:?}: {body}: {reply:?}", self.kind);
        reply.json()
    }

    /// All tasks as the API shows them, byte for byte, by id.
    pub(crate) async fn shown(&mut self) -> BTreeMap<String, String> {
        let list = List { filter: Filter::default(), limit: 1000, cursor: None };
        let page = self.scheduler.list(&list).await.unwrap();
        assert_eq!((page.next, page.corrupt), (None, vec![]));
        let mut shown = BTreeMap::new();
        for task in page.tasks {
            let id = task.id.as_str();
            shown.insert(id.to_owned(), self.task(id).await);
        }
        shown
    }

    /// A task as the API shows it; of its claim the number, and not in which turn it came.
    pub(crate) async fn task(&mut self, id: &str) -> String {
        let path =
            id.bytes().fold("/v1/tasks/".to_owned(), |path, byte| format!("{path}%{byte:02x}"));
        let reply = self.client.get(&path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let turns = (0..9).map(|turn| format!(" {turn}\",\"fence\""));
        turns.fold(reply.body, |body, turn| body.replace(&turn, "\",\"fence\""))
    }

    /// Takes what is due, as a node would; the same in every store, in the order of ids. One in parts
    /// gives the tasks of one of them at a time.
    pub(crate) async fn claim(&mut self) -> Vec<TaskRecord> {
        self.claims += 1;
        let mut taken = Vec::new();
        for turn in 0.. {
            let claimed = self.claim_once(turn).await;
            taken.extend(claimed.tasks);
            if !claimed.more {
                break;
            }
        }
        taken.sort_by(|a: &TaskRecord, b| a.id.cmp(&b.id));
        taken
    }

    async fn claim_once(&self, turn: u32) -> Claimed {
        let claim = Claim {
            id: ClaimId::parse(&format!("claim-{} {turn}", self.claims)).unwrap(),
            holder: Holder {
                node: NodeName::parse("anna").unwrap(),
                process: ProcessId::parse("anna-1").unwrap(),
                kind: HolderKind::Node,
            },
            queues: vec![QueueName::default(), QueueName::parse("mail").unwrap()],
            callbacks: None,
            limit: 100,
            ttl: 10 * SECOND,
            grace: 2 * SECOND,
            ahead: Duration::ZERO,
            suspects: SuspectRoom::default(),
            wait: false,
        };
        self.store.claim(&claim).await.unwrap()
    }

    /// Hands a run back.
    pub(crate) async fn end(&self, task: &TaskRecord, outcome: Outcome) {
        let lease = task.lease.clone().unwrap();
        let now = self.store.now().await.unwrap();
        let deciding = Deciding { now, jitter: Jitter::NONE, node: &lease.node };
        let item = AckItem {
            claim: lease.claim_id.clone(),
            task: task.id.clone(),
            fence: lease.fence,
            spec: Arc::clone(&task.spec),
            verdict: decide(task, outcome, &deciding),
        };
        self.store.ack(&[item]).await.unwrap();
    }
}

//! Every route: what it takes, gives and needs. The guard asks this table, and `/openapi.json` is made
//! from it, so a route that is not here is closed to all but `admin`.

use axum::http::Method;

use crate::config::Role;

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Its path, as it is documented.
    pub(super) path: &'static str,
    /// Its path, as the router has it. Changes share one with single tasks.
    pub(super) mounted: &'static str,
    /// What it takes to use it; `None` if it is open to everybody.
    pub(super) role: Option<Role>,
    pub(super) summary: &'static str,
    /// Names of query parameters that it takes.
    pub(super) query: &'static [&'static str],
    /// Name of the schema of its body, if it takes one.
    pub(super) body: Option<&'static str>,
    /// Status and name of the schema when all is well.
    pub(super) reply: (u16, &'static str),
    /// Statuses of problems beside those that its role, its body and the store bring.
    pub(super) problems: &'static [u16],
    /// Whether it asks the store.
    pub(super) asks_store: bool,
}

const READ: Option<Role> = Some(Role::Read);
const WRITE: Option<Role> = Some(Role::Write);
const WORK: Option<Role> = Some(Role::Work);
const ADMIN: Option<Role> = Some(Role::Admin);

/// A route that is asked, and asks the store.
const fn get(path: &'static str, reply: &'static str, summary: &'static str) -> Route {
    Route {
        method: "GET",
        path,
        mounted: path,
        role: READ,
        summary,
        query: &[],
        body: None,
        reply: (200, reply),
        problems: &[],
        asks_store: true,
    }
}

/// A route that is told something.
const fn post(path: &'static str, reply: &'static str, summary: &'static str) -> Route {
    Route { method: "POST", role: WRITE, ..get(path, reply, summary) }
}

/// A change of tasks.
const fn change(path: &'static str, body: &'static str, summary: &'static str) -> Route {
    Route { mounted: "/v1/tasks/{id}", body: Some(body), ..post(path, "Changed", summary) }
}

/// A route about the node itself, open to everybody.
const fn open(path: &'static str, reply: &'static str, summary: &'static str) -> Route {
    Route { role: None, asks_store: false, ..get(path, reply, summary) }
}

/// All routes.
pub(super) static ROUTES: &[Route] = &[
    Route {
        body: Some("NewTasks"),
        reply: (201, "Added"),
        ..post("/v1/tasks", "Added", "Add one task, or a batch of up to 1,000 in one atomic step")
    },
    Route {
        query: &["task_id", "group_id", "queue", "state", "callback", "limit", "cursor"],
        problems: &[400, 422],
        ..get("/v1/tasks", "Tasks", "List tasks, page by page")
    },
    Route {
        query: &["wait"],
        problems: &[400, 404],
        ..get("/v1/tasks/{id}", "Task", "Show a task, or wait for its end")
    },
    change("/v1/tasks/pause", "Target", "Pause tasks: they are not claimed until resumed"),
    change("/v1/tasks/resume", "Target", "Resume paused tasks"),
    change("/v1/tasks/cancel", "Selection", "Cancel tasks; running ones are told to stop"),
    change("/v1/tasks/retry", "Selection", "Run dead, cancelled or expired tasks again"),
    change("/v1/tasks/remove", "Removal", "Forget tasks; to forget all needs the role admin"),
    change("/v1/tasks/reschedule", "Reschedule", "Move tasks to another time"),
    get("/v1/next-wakeup", "NextWakeup", "When the next task may run"),
    Route {
        query: &["queue"],
        problems: &[400],
        ..get("/v1/queues", "Queues", "Show the queues, or the named ones, and how deep they are")
    },
    Route { problems: &[404, 422], ..post("/v1/queues/{queue}/pause", "Gate", "Pause a queue") },
    Route { problems: &[404, 422], ..post("/v1/queues/{queue}/resume", "Gate", "Resume a queue") },
    Route {
        role: WORK,
        body: Some("Claim"),
        problems: &[409],
        ..post("/v1/claims", "Claimed", "Take due tasks under a lease, or wait for them")
    },
    Route {
        role: WORK,
        body: Some("Renewal"),
        problems: &[410],
        ..post("/v1/claims/{claim_id}/renew", "Renewed", "Prolong a lease")
    },
    Route {
        role: WORK,
        body: Some("Results"),
        problems: &[404],
        ..post("/v1/claims/{claim_id}/ack", "Acked", "Hand outcomes back")
    },
    get("/v1/nodes", "Nodes", "Show nodes, and remote workers that hold claims"),
    Route {
        role: ADMIN,
        problems: &[404],
        ..post("/v1/nodes/{name}/drain", "Draining", "Let a node finish what runs and leave")
    },
    get("/v1/leader", "Leading", "Show who leads"),
    Route {
        role: ADMIN,
        problems: &[409],
        ..post("/v1/leader/resign", "Resigned", "End the present leader's term")
    },
    Route {
        problems: &[400],
        asks_store: false,
        ..get("/v1/events", "Events", "Follow what happens on this node")
    },
    open("/healthz", "Status", "Whether the node answers"),
    Route { problems: &[503], ..open("/readyz", "Status", "Whether the node may be sent work") },
    open("/metrics", "Metrics", "What this node counts, for Prometheus"),
    open("/openapi.json", "Document", "This document"),
];

impl Route {
    /// Every status of a problem that it may answer with, in order.
    pub(super) fn statuses(&self) -> Vec<u16> {
        let mut statuses = vec![403];
        statuses.extend_from_slice(self.problems);
        if self.role.is_some() {
            statuses.extend([401, 429]);
        }
        if self.method == "POST" {
            statuses.extend([400, 408, 409, 413, 415, 422]);
        }
        if self.asks_store {
            statuses.extend([500, 503]);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// Names of the parts of its path that may vary.
    pub(super) fn variables(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// What it takes to use a route of the router; `None` if it is open to everybody.
pub(super) fn needed(method: &Method, mounted: &str) -> Option<Role> {
    find(method, mounted).map_or(ADMIN, |route| route.role)
}

/// Whether a route of the router asks the store.
pub(super) fn asks_store(method: &Method, mounted: &str) -> bool {
    find(method, mounted).is_some_and(|route| route.asks_store)
}

fn find(method: &Method, mounted: &str) -> Option<&'static Route> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    ROUTES.iter().find(|route| route.method == method && route.mounted == mounted)
}

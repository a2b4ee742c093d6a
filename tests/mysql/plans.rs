//! How the server finds rows: by an index, in its order, and few of them.

use std::fs;
use std::path::PathBuf;

use mysql_async::Conn;
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use taskshed::domain::task::Priority;
use taskshed::store::Claim;
use taskshed::store::Queue;
use taskshed::store::Tasks;

use super::MariadbServer;
use super::fixture::SECOND;
use super::fixture::ask;
use super::fixture::operator;
use super::fixture::ready;
use super::fixture::start;
use super::requests::add;
use super::requests::claim;
use super::requests::task;

/// Statements that read all rows of a small table, or count tasks on purpose.
const BROAD: &[&str] = &[
    "drain_forget",
    "lease_all",
    "lease_remote",
    "node_all",
    "place_counts",
    "queue_all",
    "running_counts",
];

const TASKS: &str = "INSERT INTO task (ns, id, place, due, state, queue, group_id, run_at,
    planned_at, created_at, expiring_at, parked, attempt, crashes, request, outcome, cancel_asked, spec)
    SELECT seq MOD 4 + 1, CONCAT('t', seq), CONCAT('l:q', seq MOD 5, ':2:4:'), seq, 'scheduled',
    CONCAT('q', seq MOD 5), CONCAT('g', seq MOD 50), seq, seq, seq, seq, 0, 0, 0, 'r', 'created', 0, '{}'
    FROM seq_1_to_8000";

const LEASES: &str =
    "INSERT INTO lease SELECT seq MOD 4 + 1, CONCAT('c', seq), 'n', 'p', 'node', 1, 1,
    seq, seq, seq FROM seq_1_to_4000";

const STOPS: &str =
    "INSERT INTO stop SELECT seq MOD 4 + 1, CONCAT('c', seq), CONCAT('t', seq), 1, 1
    FROM seq_1_to_4000";

const KEYS: &str = "INSERT INTO unique_key SELECT seq MOD 4 + 1, CONCAT('k', seq), CONCAT('t', seq) FROM seq_1_to_4000";

const QUEUES: &str =
    "INSERT INTO queue SELECT seq MOD 4 + 1, CONCAT('q', seq), 0 FROM seq_1_to_400";

const ENDED: &str =
    "INSERT INTO ended_claim SELECT seq MOD 4 + 1, CONCAT('c', seq), seq FROM seq_1_to_4000";

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index_and_in_its_order() {
    let server = MariadbServer::start(&[]);
    ready(&server).await;
    let mut conn = operator(&server).await;
    for text in [TASKS, LEASES, STOPS, KEYS, QUEUES, ENDED] {
        conn.query_drop(text).await.unwrap();
    }
    let analyze = "ANALYZE TABLE task, lease, stop, unique_key, queue, ended_claim";
    conn.query::<Row, _>(analyze).await.unwrap();

    let (looked_at, broken) = plans(&mut conn, &["c3", "t3", "k3"]).await;

    assert!(looked_at > 25, "only {looked_at} statements were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Of a small table a server would rather read everything, and lock what it reads.
#[tokio::test]
async fn rows_are_found_by_an_index_in_a_small_table_as_well() {
    let server = MariadbServer::start(&[]);
    ready(&server).await;
    let mut conn = operator(&server).await;
    for text in [TASKS, LEASES, STOPS, KEYS, QUEUES] {
        let few = text.replace("seq MOD 4 + 1", "1").replace("8000", "40").replace("4000", "40");
        conn.query_drop(few.replace("400 ", "40 ")).await.unwrap();
    }
    conn.query::<Row, _>("ANALYZE TABLE task, lease, stop, unique_key, queue").await.unwrap();
    let names: Vec<String> =
        (0..200).flat_map(|n| ["c", "t", "k", "q"].map(|kind| format!("{kind}{n}"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    let (_, broken) = plans(&mut conn, &names).await;

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// How many statements were looked at, and the plans of those that read too much, with lists of
/// such names.
async fn plans(conn: &mut Conn, names: &[&str]) -> (usize, Vec<String>) {
    let (mut looked_at, mut broken) = (0, Vec::new());
    for path in statements() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = filled(&fs::read_to_string(&path).unwrap(), names);
        if text.starts_with("INSERT") || BROAD.contains(&name.as_str()) {
            continue;
        }
        let plan: Vec<Row> = conn.query(format!("EXPLAIN {text}")).await.unwrap();
        looked_at += 1;
        for step in plan {
            let get =
                |column: &str| step.get::<Option<String>, _>(column).flatten().unwrap_or_default();
            let (table, how, extra) = (get("table"), get("type"), get("Extra"));
            let is_table = !table.is_empty() && !table.starts_with('<') && table != "found";
            let is_by_namespace = how == "ref" && get("ref") == "const" && holds_rows(&text);
            let is_broad = is_table && (how == "ALL" || how == "index" || is_by_namespace);
            if is_broad || extra.contains("filesort") {
                broken.push(format!(
                    "{name}: {table} {how} {} {} {extra}",
                    get("key"),
                    get("rows")
                ));
            }
        }
    }
    (looked_at, broken)
}

fn holds_rows(text: &str) -> bool {
    !text.starts_with("SELECT") || text.contains("\nFOR UPDATE") || text.contains("\nLOCK IN")
}

/// Those of the future are never read, however urgent they are.
#[tokio::test]
async fn a_claim_reads_few_rows_however_many_tasks_wait() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    let tomorrow = start().plus(30 * 365 * 86_400 * SECOND);
    for first in (0..6000).step_by(1000) {
        let later = |number: usize| {
            let priority =
                if number.is_multiple_of(2) { Priority::Critical } else { Priority::Normal };
            task(&format!("later-{number}")).run_at(tomorrow).priority(priority)
        };
        store.add(&add((first..first + 1000).map(later))).await.unwrap();
    }
    store.add(&add((0..50).map(|number| task(&format!("due-{number}"))))).await.unwrap();

    let before = rows_read(&server).await;
    let claimed = store.claim(&Claim { limit: 20, ..claim() }).await.unwrap();
    let read = rows_read(&server).await - before;

    assert_eq!(claimed.tasks.len(), 20);
    assert!(read < 300, "{read} rows were read to claim 20 tasks");
}

/// How many rows and index entries the server has read since it started.
async fn rows_read(server: &MariadbServer) -> u64 {
    let counts: Vec<(String, u64)> = ask(server, "SHOW GLOBAL STATUS LIKE 'Handler_read%'").await;
    counts.into_iter().map(|(_, count)| count).sum()
}

fn statements() -> Vec<PathBuf> {
    let entries = fs::read_dir("src/store/sql/statements").unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A statement with values of the right kind at its marks.
fn filled(file: &str, names: &[&str]) -> String {
    let lines = file.lines().filter(|line| !line.starts_with("--"));
    let list = format!("('{}')", names.join("', '"));
    let text = lines.collect::<Vec<_>>().join("\n").replace("(?*)", &list);
    let mut filled = String::new();
    for (at, piece) in text.split_inclusive('?').enumerate() {
        let Some(before) = piece.strip_suffix('?') else {
            filled.push_str(piece);
            continue;
        };
        filled.push_str(before);
        let before = before.trim_end().trim_end_matches(['=', '<', '>', ' ']);
        let column = before.rsplit([' ', '.', '(', ',']).next().unwrap_or_default();
        filled.push_str(&match column {
            "ns" => "1".to_owned(),
            "place" => "'l:q1:2:4:'".to_owned(),
            "id" | "name" | "claim" | "group_id" | "node" | "process" => "'x'".to_owned(),
            // A later bound of a range is above an earlier one.
            _ => (100 + at).to_string(),
        });
    }
    filled
}

-- schema: the tables of version 1
-- WHY: columns are those of the statements in store/sql; tables of small rows are their own index.
CREATE TABLE task (
    ns INTEGER NOT NULL,
    id TEXT NOT NULL,
    place TEXT NOT NULL,
    due INTEGER NOT NULL,
    state TEXT NOT NULL,
    queue TEXT NOT NULL,
    group_id TEXT,
    run_at INTEGER NOT NULL,
    planned_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    expiring_at INTEGER,
    paused_at INTEGER,
    parked INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    errors TEXT,
    finished_at INTEGER,
    result TEXT,
    fence INTEGER,
    claim TEXT,
    request TEXT NOT NULL,
    outcome TEXT NOT NULL,
    watched_until INTEGER,
    cancel_asked INTEGER NOT NULL,
    pause_asked INTEGER,
    plan_asked INTEGER,
    spec TEXT NOT NULL,
    PRIMARY KEY (ns, id)
) STRICT;
CREATE INDEX task_place ON task (ns, place, due, id);
CREATE INDEX task_group ON task (ns, group_id, id) WHERE group_id IS NOT NULL;
CREATE INDEX task_expiring ON task (ns, expiring_at) WHERE expiring_at IS NOT NULL;

CREATE TABLE unique_key (
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (ns, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    ns INTEGER NOT NULL,
    claim TEXT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    kind TEXT NOT NULL,
    ttl INTEGER NOT NULL,
    grace INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    PRIMARY KEY (ns, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_end ON lease (ns, expires_at, claim);

CREATE TABLE stop (
    ns INTEGER NOT NULL,
    claim TEXT NOT NULL,
    id TEXT NOT NULL,
    superseded INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    PRIMARY KEY (ns, claim, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stop_task ON stop (ns, id);

CREATE TABLE ended_claim (
    ns INTEGER NOT NULL,
    claim TEXT NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (ns, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_claim_at ON ended_claim (ns, ended_at);

CREATE TABLE queue (
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL,
    PRIMARY KEY (ns, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    ns INTEGER NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    beat_at INTEGER NOT NULL,
    told TEXT NOT NULL,
    PRIMARY KEY (ns, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE leader (
    ns INTEGER NOT NULL PRIMARY KEY,
    node TEXT,
    process TEXT,
    term INTEGER NOT NULL,
    until INTEGER NOT NULL,
    barred TEXT,
    barred_until INTEGER NOT NULL,
    reserved TEXT,
    reserved_at INTEGER NOT NULL
) STRICT;

CREATE TABLE fence (
    ns INTEGER NOT NULL PRIMARY KEY,
    term INTEGER NOT NULL,
    looked_at INTEGER NOT NULL
) STRICT;

CREATE TABLE namespace (
    ns INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version (version) VALUES (1);

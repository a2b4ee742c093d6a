-- namespace_rows: the one row that each namespace has in two tables
INSERT OR IGNORE INTO leader (ns, term, until, barred_until, reserved_at)
SELECT ns, 0, 0, 0, 0
FROM namespace;
INSERT OR IGNORE INTO fence (ns, term, looked_at)
SELECT ns, 0, 0
FROM namespace;

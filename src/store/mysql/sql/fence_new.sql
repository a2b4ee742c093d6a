-- fence_new: no term acted in a new namespace.
INSERT IGNORE INTO fence (ns, term, looked_at)
VALUES (?, 0, 0)

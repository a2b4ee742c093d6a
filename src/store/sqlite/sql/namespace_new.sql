-- namespace_new: gives a namespace a number, unless it has one
INSERT OR IGNORE INTO namespace (name)
VALUES (?)

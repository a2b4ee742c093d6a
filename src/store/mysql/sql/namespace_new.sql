-- namespace_new: gives a namespace a number.
--
-- WHY. Several nodes may start at once: the second one finds the first one's row.
INSERT IGNORE INTO namespace (name)
VALUES (?)

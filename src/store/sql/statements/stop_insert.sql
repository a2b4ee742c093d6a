-- stop_insert: tells runs to stop.
--
-- params  ns, claim, id, superseded, fence
-- guards  T3: a superseded run keeps its successor held until it lets go
INSERT INTO stop (ns, claim, id, superseded, fence)
VALUES (?, ?, ?, ?, ?)

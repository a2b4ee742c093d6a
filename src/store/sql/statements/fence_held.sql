-- fence_held: the highest term that acted; held, so that duties come one after the other.
--
-- params  ns
-- rows    term
-- guards  L1
SELECT term
FROM fence
WHERE ns = ?
FOR UPDATE

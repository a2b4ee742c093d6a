-- ended_claim_insert: remembers claims that ended, so that a late repeat of them answers empty.
--
-- params  ns, claim, ended_at
INSERT INTO ended_claim (ns, claim, ended_at)
VALUES (?, ?, ?)

-- queue_known: queues by name, with whether they are paused; kept from being paused meanwhile.
--
-- params  ns | names
-- rows    name, paused
-- index   primary key
-- guards  T8: who pauses a queue waits for the claims that are under way
SELECT name, paused
FROM queue /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND name IN (?*)
LOCK IN SHARE MODE

-- session: how each connection behaves.
--
-- WHY. Steps lock what they read and want to read what is there now, so READ COMMITTED: the default
-- locks gaps between rows, at which nodes would wait for each other. A wait for a row ends after
-- two seconds, and the step is taken anew. Values that do not fit are errors, not cut.
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION innodb_lock_wait_timeout = 2, autocommit = 1, sql_mode = 'STRICT_ALL_TABLES'

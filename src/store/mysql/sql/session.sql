-- session: how each connection behaves.
--
-- WHY. Steps lock what they read and want to read what is there now, so READ COMMITTED: the default
-- locks gaps between rows, at which nodes would wait for each other. A wait for a row ends after
-- two seconds, and the step is taken anew. Values that do not fit are errors, not cut. A list of
-- places is as long as there are places: MariaDB would cut it after 1000, MySQL refuse it. The
-- comments at the end are where the two speak differently: each reads only its own.
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION innodb_lock_wait_timeout = 2, autocommit = 1, sql_mode = 'STRICT_ALL_TABLES'
  /*M!100600 , max_recursive_iterations = 4294967295 */
  /*!80000 , cte_max_recursion_depth = 4294967295 */

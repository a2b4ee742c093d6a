-- settings: what the server is and how it is set.
--
-- REPLY. Name and value of each variable that it has: servers differ.
SHOW GLOBAL VARIABLES
WHERE Variable_name IN (
  'version', 'innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'binlog_format',
  'wsrep_on', 'read_only', 'max_connections', 'max_allowed_packet', 'innodb_doublewrite',
  'innodb_fast_shutdown', 'innodb_force_recovery'
)

-- patience: waits for a row as long as another migration may take.
SET SESSION innodb_lock_wait_timeout = 3600

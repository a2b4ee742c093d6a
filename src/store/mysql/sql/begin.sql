-- begin: begins a transaction, and answers the server's now and whether it takes writes.
--
-- REPLY. Microseconds since the epoch; read_only.
-- WHY. One round trip. Who may write to a server that is read only (a replica, a former primary)
-- would not be refused by it.
START TRANSACTION;
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)), @@GLOBAL.read_only

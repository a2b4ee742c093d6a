-- join: marks a place in a caller's transaction, and says where and when that is.
--
-- REPLY. Microseconds since the epoch; read_only; name and port of the server.
-- WHY. One round trip. To go back to the mark at once fails if no transaction is open, in which
-- case each statement would stay by itself.
SAVEPOINT taskshed;
ROLLBACK TO SAVEPOINT taskshed;
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)), @@GLOBAL.read_only, @@hostname, @@port

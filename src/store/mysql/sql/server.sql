-- server: which server this is.
--
-- REPLY. Name and port of the server.
SELECT @@hostname, @@port

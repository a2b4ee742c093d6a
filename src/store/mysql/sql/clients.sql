-- clients: how many connections there are.
--
-- REPLY. Name and value.
SHOW GLOBAL STATUS
WHERE Variable_name IN ('Threads_connected', 'Max_used_connections')

-- unique_key_insert: gives unique keys to live tasks.
--
-- params  ns, name, id
-- guards  S2: a second holder meets the primary key, and its step is taken again
INSERT INTO unique_key (ns, name, id)
VALUES (?, ?, ?)

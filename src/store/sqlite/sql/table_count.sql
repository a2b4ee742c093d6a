-- table_count: how many tables and indexes the file has
SELECT count(*)
FROM sqlite_schema

-- version_table: how many tables there are that hold the version of our schema
SELECT count(*)
FROM sqlite_schema
WHERE type = 'table'
  AND name = 'schema_version'

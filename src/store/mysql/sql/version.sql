-- version: the version of the schema.
SELECT version
FROM schema_version
WHERE one = 1

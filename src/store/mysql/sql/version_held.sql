-- version_held: the version of the schema, held against others who migrate.
SELECT version
FROM schema_version
WHERE one = 1
FOR UPDATE

-- version: of the schema
SELECT version
FROM schema_version

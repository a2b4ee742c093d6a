-- version_set: a step of the schema is done.
UPDATE schema_version
SET version = ?
WHERE one = 1

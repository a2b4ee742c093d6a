-- version: the table of the schema's version, with its one row.
--
-- WHY. The row is what those who migrate hold, one after the other; it is 0 until the first step.
CREATE TABLE IF NOT EXISTS schema_version (
  one TINYINT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (one)
) ENGINE = InnoDB;

INSERT IGNORE INTO schema_version (one, version)
VALUES (1, 0);

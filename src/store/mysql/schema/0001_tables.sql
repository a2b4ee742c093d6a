-- 0001_tables: all tables of the first schema.
--
-- WHY. Texts are bytes: compared as they are, without padding, case or collation, as in every
-- other store. Moments are microseconds since the epoch. No foreign keys: they take row locks that
-- no step needs. Each statement can be repeated, because each commits by itself.
CREATE TABLE IF NOT EXISTS namespace (
  ns BIGINT NOT NULL AUTO_INCREMENT,
  name VARBINARY(255) NOT NULL,
  PRIMARY KEY (ns),
  UNIQUE KEY namespace_name (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS task (
  ns BIGINT NOT NULL,
  id VARBINARY(255) NOT NULL,
  place VARBINARY(400) NOT NULL,
  due BIGINT NOT NULL,
  state VARBINARY(16) NOT NULL,
  queue VARBINARY(255) NOT NULL,
  group_id VARBINARY(255) NULL,
  run_at BIGINT NOT NULL,
  planned_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NULL,
  expiring_at BIGINT NULL,
  paused_at BIGINT NULL,
  parked TINYINT NOT NULL,
  attempt BIGINT NOT NULL,
  crashes BIGINT NOT NULL,
  errors LONGBLOB NULL,
  finished_at BIGINT NULL,
  result LONGBLOB NULL,
  fence BIGINT NULL,
  claim VARBINARY(255) NULL,
  request VARBINARY(255) NOT NULL,
  outcome VARBINARY(600) NOT NULL,
  watched_until BIGINT NULL,
  cancel_asked TINYINT NOT NULL,
  pause_asked BIGINT NULL,
  plan_asked BIGINT NULL,
  spec LONGBLOB NOT NULL,
  PRIMARY KEY (ns, id),
  KEY task_place (ns, place, due, id),
  KEY task_group (ns, group_id, id),
  KEY task_expiring (ns, expiring_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS unique_key (
  ns BIGINT NOT NULL,
  name VARBINARY(255) NOT NULL,
  id VARBINARY(255) NOT NULL,
  PRIMARY KEY (ns, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS lease (
  ns BIGINT NOT NULL,
  claim VARBINARY(255) NOT NULL,
  node VARBINARY(255) NOT NULL,
  process VARBINARY(255) NOT NULL,
  kind VARBINARY(16) NOT NULL,
  ttl BIGINT NOT NULL,
  grace BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  renewed_at BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  PRIMARY KEY (ns, claim),
  KEY lease_end (ns, expires_at, claim)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS stop (
  ns BIGINT NOT NULL,
  claim VARBINARY(255) NOT NULL,
  id VARBINARY(255) NOT NULL,
  superseded TINYINT NOT NULL,
  fence BIGINT NOT NULL,
  PRIMARY KEY (ns, claim, id),
  KEY stop_task (ns, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ended_claim (
  ns BIGINT NOT NULL,
  claim VARBINARY(255) NOT NULL,
  ended_at BIGINT NOT NULL,
  PRIMARY KEY (ns, claim),
  KEY ended_claim_at (ns, ended_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS queue (
  ns BIGINT NOT NULL,
  name VARBINARY(255) NOT NULL,
  paused TINYINT NOT NULL,
  PRIMARY KEY (ns, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS node (
  ns BIGINT NOT NULL,
  node VARBINARY(255) NOT NULL,
  process VARBINARY(255) NOT NULL,
  beat_at BIGINT NOT NULL,
  told LONGBLOB NOT NULL,
  PRIMARY KEY (ns, node)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS leader (
  ns BIGINT NOT NULL,
  node VARBINARY(255) NULL,
  process VARBINARY(255) NULL,
  term BIGINT NOT NULL,
  until BIGINT NOT NULL,
  barred VARBINARY(255) NULL,
  barred_until BIGINT NOT NULL,
  reserved VARBINARY(255) NULL,
  reserved_at BIGINT NOT NULL,
  PRIMARY KEY (ns)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS fence (
  ns BIGINT NOT NULL,
  term BIGINT NOT NULL,
  looked_at BIGINT NOT NULL,
  PRIMARY KEY (ns)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

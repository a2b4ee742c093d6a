-- leader_new: nobody leads a new namespace.
INSERT IGNORE INTO leader (ns, term, until, barred_until, reserved_at)
VALUES (?, 0, 0, 0, 0)

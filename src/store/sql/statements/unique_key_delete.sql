-- unique_key_delete: frees unique keys.
--
-- params  ns | keys, sorted
DELETE FROM unique_key
WHERE ns = ?
  AND name IN (?*)

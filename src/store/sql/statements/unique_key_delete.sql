-- unique_key_delete: frees unique keys.
--
-- params  ns | keys, sorted
DELETE /*! unique_key */ FROM unique_key /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND name IN (?*)
  /*! AND id IS NOT NULL */

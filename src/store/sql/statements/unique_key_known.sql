-- unique_key_known: which of these unique keys live tasks hold; not held against others.
--
-- params  ns | keys, sorted
-- rows    name
-- index   primary key
SELECT name
FROM unique_key /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND name IN (?*)

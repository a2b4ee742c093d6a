-- task_delete: takes tasks out, for good or to put them back changed.
--
-- params  ns | ids, sorted
-- index   primary key
-- why     rewriting a row whose place moves costs as much, and no upsert is spelled alike everywhere
DELETE /*! task */ FROM task /*! FORCE INDEX (PRIMARY) */
WHERE ns = ?
  AND id IN (?*)
  /*! AND spec IS NOT NULL */

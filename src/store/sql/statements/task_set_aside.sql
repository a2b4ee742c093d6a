-- task_set_aside: takes tasks whose records cannot be read out of their lane.
--
-- params  place | ns | ids
-- index   primary key
UPDATE task /*! FORCE INDEX (PRIMARY) */
SET place = ?
WHERE ns = ?
  AND id IN (?*)

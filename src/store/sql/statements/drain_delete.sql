-- drain_delete: an order to drain is over.
--
-- params  ns | process
-- index   primary key
DELETE FROM stop
WHERE ns = ?
  AND claim = ''
  AND id = ?

-- drain_forget: drops orders to drain for processes that are gone, or whose name another one has.
--
-- params  ns | ns
-- index   primary key: the orders alone are looked at
DELETE FROM stop
WHERE ns = ?
  AND claim = ''
  AND id NOT IN (SELECT process FROM node WHERE ns = ?)

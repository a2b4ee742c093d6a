-- take_back: undoes what was written in a caller's transaction since join, and nothing else.
ROLLBACK TO SAVEPOINT taskshed

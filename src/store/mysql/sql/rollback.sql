-- rollback: undoes a step.
ROLLBACK

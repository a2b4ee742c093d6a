-- commit: makes a step last.
COMMIT

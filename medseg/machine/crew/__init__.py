"""Who does the tasks of a command: this process and those beside it, or the workers of a cluster."""

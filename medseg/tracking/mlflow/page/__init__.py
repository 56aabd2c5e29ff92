"""MLflow's own page, as `medseg ui` serves it."""

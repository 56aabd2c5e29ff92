"""Where runs are written down: their own folder, and MLflow."""

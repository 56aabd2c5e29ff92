"""Scripts that are copied into models, and run where MLflow serves them."""

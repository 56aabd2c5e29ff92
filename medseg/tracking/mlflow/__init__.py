"""The only package that imports MLflow, and only when it is used."""

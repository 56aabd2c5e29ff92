"""One parent run with many children."""

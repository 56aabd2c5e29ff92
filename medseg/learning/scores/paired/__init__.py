"""Two models compared on the same patients."""

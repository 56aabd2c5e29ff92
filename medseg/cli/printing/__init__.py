"""Tables and reports for a terminal."""

"""Arrays and tables in, matplotlib figures out."""

"""Who is in which role."""

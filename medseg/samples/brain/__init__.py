"""Made-up brains with tumours."""

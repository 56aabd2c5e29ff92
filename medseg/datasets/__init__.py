"""What there is to learn from: cases, their patients and roles."""

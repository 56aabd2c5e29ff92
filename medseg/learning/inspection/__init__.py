"""Looking into a network: its layers, and where it looks."""

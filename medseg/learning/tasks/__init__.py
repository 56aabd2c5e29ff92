"""What labels mean to a network."""

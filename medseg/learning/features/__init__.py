"""Tables of features: kept, reduced, put into groups, and learned from."""

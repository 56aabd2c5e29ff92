"""Steps about the features of a network: what they are, what they group into, and a head learned from them."""

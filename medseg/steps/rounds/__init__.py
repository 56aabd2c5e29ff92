"""The rounds of a self-training: what they predict and accept, what they record, and what came of them."""

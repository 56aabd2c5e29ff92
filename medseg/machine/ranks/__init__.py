"""Processes that train one network together, as torchrun starts them: who there is, and how they are told."""

"""The leak certificate of a run: who was in which role, what was learned from whom, and what nobody looked at."""

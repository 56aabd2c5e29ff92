"""From a trained network to predictions of whole cases."""

"""What a run would refuse, found before it begins."""

"""A page about runs that people pass on: what a run's folder holds, in one HTML file."""

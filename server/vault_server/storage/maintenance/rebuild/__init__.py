"""A new register made of what can still be read, for `check --repair` alone."""

"""What `scripts/bench` runs: Vault beside what its users would pick instead, on the same bytes in one run."""

"""The commands `vault-grpc serve` and `vault-grpc check`."""

"""The service over gRPC: what surrounds a call, and what is answered."""

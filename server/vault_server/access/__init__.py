"""Who may do what: identities, grants, allowed networks, budgets, and what is written down of it. Nothing of gRPC."""

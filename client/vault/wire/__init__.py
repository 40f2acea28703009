"""Messages to model and back, errors to status and back. Shared by the client and the server."""

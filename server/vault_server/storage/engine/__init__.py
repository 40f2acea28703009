"""One open store: its parts put together, its reads and its writes."""

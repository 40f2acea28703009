"""EmbeddedStore and AsyncEmbeddedStore: the engine as Stores."""

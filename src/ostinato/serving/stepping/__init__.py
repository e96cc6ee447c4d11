"""One thread a model that steps all sessions that are ready together."""

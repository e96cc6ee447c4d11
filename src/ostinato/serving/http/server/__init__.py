"""Connections, processes, signals and logs: what carries requests to `app` and answers back."""

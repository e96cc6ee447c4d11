"""The page of `ostinato serve`: files as they are, no build step, nothing from elsewhere.

It speaks to the same API as every other client, so it needs no token to be read: it holds no data.
"""

from ostinato.serving.page.page_routes import POLICY, routes

__all__ = ["POLICY", "routes"]

"""The page of `ostinato serve`: plain files without a build step that load nothing from elsewhere.

It uses the same API as every other client. It contains no data, so it can be read without a token.
"""

from ostinato.serving.page.page_routes import POLICY, routes

__all__ = ["POLICY", "routes"]

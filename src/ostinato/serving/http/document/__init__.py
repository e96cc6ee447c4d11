"""The schemas of bodies, and the documents that describe them: OpenAPI, and a page for people."""

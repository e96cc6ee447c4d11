"""What a body may hold, and the document that says so: OpenAPI, and the page that people read."""

"""Models' results for Python: answers with fields, and plain values that become data."""

"""What models say, for people who work in Python: results with fields, and plain values that become data."""

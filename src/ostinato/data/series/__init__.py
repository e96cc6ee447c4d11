"""Tables of series over time: their columns, times and grids."""

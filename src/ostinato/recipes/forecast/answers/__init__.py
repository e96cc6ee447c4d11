"""Answers of a forecaster: from paths to answers, calibrated intervals, alarms, sums, reasons and exports."""

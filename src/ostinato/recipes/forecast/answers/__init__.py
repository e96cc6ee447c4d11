"""What a forecaster answers: from paths to answers, intervals and alarms that keep their promise, sums, reasons, exports."""

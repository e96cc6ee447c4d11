"""The kernels for GPUs: ahead of time on any machine, and timed where there is a GPU."""

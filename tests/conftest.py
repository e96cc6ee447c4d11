"""What all tests share."""

import os

# Before torch is imported: its threads spin while they wait, and two test processes that spin on two cores stand still.
os.environ.setdefault("OMP_NUM_THREADS", "1")

"""From a step to a schedule: graphs, their derivatives, and what is computed when; the same for every device."""

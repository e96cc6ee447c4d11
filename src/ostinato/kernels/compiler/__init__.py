"""From a step to a schedule: graphs, their derivatives, and what is computed when. Knows no device."""

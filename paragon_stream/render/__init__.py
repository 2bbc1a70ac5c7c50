"""A render: a request is planned, then run. `upscale()`, `probe` and `--resume` share the plan."""

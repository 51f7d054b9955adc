"""fcgraph: every payment record accounted for, every month-end number provable, all of it askable."""

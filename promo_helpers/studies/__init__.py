"""What holds beyond one market: whole analyses repeated over markets that nothing was tuned on, run by `make replications`."""

"""What clusters ask for over time, and what that costs: objects -> uses -> integrals -> days -> lines. Pure (U3-U6)."""

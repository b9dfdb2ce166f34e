"""Receives deliveries of forges over HTTP. Knows HTTP and forges, nothing of Git or Kubernetes; a delivery is only a hint (W2)."""

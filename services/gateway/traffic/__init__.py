"""What keeps traffic within bounds: limits, breakers, caches, and the Redis that replicas share for them."""

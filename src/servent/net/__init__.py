"""How a peer is reached: endpoints, connections, hello, routing, reachability, relay."""

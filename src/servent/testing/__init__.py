"""What tests stand on: virtual time, cores on a simulated net, and `net.links` in memory."""

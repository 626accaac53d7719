"""Real NATs, firewalls and moving hosts, in Linux network namespaces. Needs root, iproute2 and nftables."""

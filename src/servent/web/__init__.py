"""The page: NiceGUI in a process of its own, speaking to the node through its API alone."""

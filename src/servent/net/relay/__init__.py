"""A relay that speaks iroh's relay protocol: for peers whose packets find no direct way to each other."""

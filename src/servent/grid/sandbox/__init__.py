"""Where foreign WebAssembly runs: a process of its own for each lent core, which can do nothing but compute."""

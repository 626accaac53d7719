"""What cores do under a load that nobody can arrange by hand; virtual time, one seed, one answer."""

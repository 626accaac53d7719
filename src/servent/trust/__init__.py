"""Who may do what here: contacts, networks, invitations, grants. Everything but `service` is pure."""

"""Volunteer computing: projects, their coordinator, the sandbox of a volunteer, credit that anybody can check."""

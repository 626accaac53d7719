"""Commands: each is a few calls of the API's client, drawn for people or printed as JSON."""

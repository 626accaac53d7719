"""Content: named by BEP 52 hashes, fetched from many, verified before it is written or served on."""

"""The BitTorrent door and the Mainline DHT: one libtorrent session (extra `[torrent]`) and what is built on it."""

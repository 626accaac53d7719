// Which torrent a transfer belongs to, if it goes through the door to BitTorrent.

import { live } from "./live.js";
import { plural } from "./transfer_words.js";

let doors = new Map(); // transfer -> torrent
let names = new Map(); // infohash -> torrent
live.watch(["torrents"], () => {
  doors = new Map();
  names = new Map();
  for (const one of live.torrents.values()) {
    if (one.transfer) doors.set(one.transfer, one);
    for (const hash of [one.id, one.infohash_v1, one.infohash_v2]) if (hash) names.set(hash, one);
  }
}, 500);

export const throughDoor = (transfer) => doors.get(transfer.id) ?? (transfer.direction === "down" ? names.get(transfer.infohash) : undefined);

// "BitTorrent, 3 peers"
export const doorWords = (one) => (one ? `BitTorrent${one.peers ? `, ${plural(one.peers, "peer")}` : ""}` : "");

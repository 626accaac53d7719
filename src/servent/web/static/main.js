// Everything the page brings along, in one import; NiceGUI draws the rest.
import "./icons.js";
import "./address.js";
import "./nav.js";
import "./summary.js";
import "./next.js";
import "./picture.js";
import "./search.js";
import "./browse.js";
import "./library.js";
import "./transfers.js";
import "./shares.js";
import "./peers.js";
import "./limits.js";
import "./codes.js";
import "./history.js";

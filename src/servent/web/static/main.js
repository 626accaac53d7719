// Everything the page brings along, in one import; NiceGUI draws the rest.
import "./icons.js";
import "./summary.js";
import "./picture.js";
import "./transfers.js";
import "./shares.js";
import "./peers.js";
import "./limits.js";
import "./codes.js";
import "./history.js";

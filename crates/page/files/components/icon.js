// Line icons, drawn on 24 by 24. They are decoration: the control beside them has the name.
import { html } from "../html.js";

const PATHS = {
  play: "M7 4.5v15a.5.5 0 0 0 .77.42l11.5-7.5a.5.5 0 0 0 0-.84L7.77 4.08A.5.5 0 0 0 7 4.5Z",
  library: "M4 5h6v6H4zM14 5h6v6h-6zM4 15h6v4H4zM14 15h6v4h-6z",
  jobs: "M4 6h16M4 12h16M4 18h10",
  queue: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5l4.5 4.5L19 7.5",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM20 20l-4-4",
  dice: "M6 4h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2ZM8.5 8.5h.01M15.5 8.5h.01M12 12h.01M8.5 15.5h.01M15.5 15.5h.01",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  unlock: "M7 11V8a5 5 0 0 1 9.6-2M6 11h12v9H6z",
  swap: "M7 4 3.5 7.5 7 11M3.5 7.5H20M17 13l3.500 3.5L17 20M20.500 16.500H4",
  download: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  package: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  retry: "M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 2.500-2.500L20 17M15.500 9.500h.01",
  video: "M4 6h11v12H4zM15 10.500l5-3v9l-5-3z",
  audio: "M9 18V6l10-2v12M9 18a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0ZM19 16a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0Z",
  cube: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  file: "M7 3h7l5 5v13H7zM14 3v5h5",
  text: "M5 6h14M12 6v13M9 19h6",
  upload: "M12 16V5M7 9.500l5-5 5 5M5 20h14",
  brush: "M14 6l4 4-7.500 7.500-4-4zM14 6l2.500-2.500 4 4L18 10M6.500 13.500c-2 1-1 4-3.500 5 2 1.500 6 1 7.500-1",
  eraser: "M8 20h12M4.500 14.500l9-9 6 6-8.500 8.500h-3z",
  undo: "M9 5 4.500 9.500 9 14M4.500 9.500H15a5 5 0 0 1 0 10h-3",
  up: "M6 15l6-6 6 6",
  down: "M6 9l6 6 6-6",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  zoom: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM20 20l-4-4M11 8v6M8 11h6",
  compare: "M12 3v18M4 6h5v12H4M15 6h5v12h-5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500Z",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  warning: "M12 4 2.500 20h19zM12 10v4M12 17h.01",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 11v5M12 8h.01",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  graph: "M4 5h5v5H4zM15 14h5v5h-5zM9 7.500h3.500v9H15",
  out: "M10 5H5v14h5M15 8l4 4-4 4M19 12H9",
  stop: "M7 7h10v10H7z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  edit: "M4 20h4L19.500 8.500l-4-4L4 16zM13 7l4 4",
  settings: "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {{ name: IconName, filled?: boolean }} props */
export function Icon({ name, filled }) {
  return html`<svg class=${filled ? "icon filled" : "icon"} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} />
  </svg>`;
}

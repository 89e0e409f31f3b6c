// htm bound to Preact: html`<p>${text}</p>` makes virtual nodes without a build step.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);

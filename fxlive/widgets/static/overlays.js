// Overlays of a chart as plotly shapes and annotations: shaded gaps, and price lines with their texts.

import { escape } from "./live.js";

const COLORS = { buy: "#26a69a", sell: "#ef5350", stop_loss: "#ef5350", take_profit: "#26a69a" };

// Gaps are [start, end] in local milliseconds.
export function gapShapes(gaps) {
  return gaps.map(([start, end]) => ({
    type: "rect",
    xref: "x",
    yref: "paper",
    x0: start,
    x1: end,
    y0: 0,
    y1: 1,
    layer: "below",
    line: { width: 0 },
    fillcolor: "rgba(239, 83, 80, 0.14)",
    name: "gap",
  }));
}

export function priceLineShapes(priceLines) {
  return priceLines.map(({ y, role, confirmed }) => ({
    type: "line",
    xref: "paper",
    yref: "y",
    x0: 0,
    x1: 1,
    y0: y,
    y1: y,
    layer: "below",
    line: { width: 1, dash: role === "buy" || role === "sell" ? "dash" : "dot", color: COLORS[role] },
    ...(confirmed === false && { opacity: 0.4 }), // no message since the last gap: the position may be closed
    name: role,
  }));
}

export function priceLineTexts(priceLines, background) {
  return priceLines.map(({ y, text, role, confirmed }) => ({
    xref: "paper",
    yref: "y",
    x: 0,
    y,
    xanchor: "left",
    yanchor: "middle",
    text: escape(text),
    showarrow: false,
    font: { size: 10, color: COLORS[role] },
    bgcolor: background,
    borderpad: 1,
    ...(confirmed === false && { opacity: 0.6 }),
  }));
}

// plotly.js, once for the page however many charts and kernels use it, and the page's colours as a template for it.

import { isDark } from "./live.js";

const page = (globalThis[Symbol.for("fxlive.plotly")] ??= { versions: new Map(), loads: 0 });

export function loadPlotly(model) {
  const version = model.get("_plotly_version");
  if (!page.versions.has(version)) {
    const loading = unpack(model);
    loading.catch(() => page.versions.delete(version));
    page.versions.set(version, loading);
  }
  return page.versions.get(version);
}

async function unpack(model) {
  const holder = await model.widget_manager.get_model(model.get("_plotly"));
  const stream = new Blob([holder.get("source")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const other = Object.getOwnPropertyDescriptor(globalThis, "Plotly");
  const module = { exports: {} };
  // With a module of its own and no `define`, it neither meets a loader of the page nor leaves a name in it.
  new Function("module", "exports", "define", text)(module, module.exports, undefined);
  if (other) Object.defineProperty(globalThis, "Plotly", other);
  else delete globalThis.Plotly;
  page.loads += 1;
  return module.exports;
}

export const CONFIG = {
  displaylogo: false,
  showSendToCloud: false, // plotly's default is a button that uploads the data
  plotlyServerURL: "",
  showTips: false,
  doubleClick: false, // it is ours: back to the live edge
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "resetScale2d"],
};

// What the user's figure says of itself goes before it.
export function template(el) {
  const style = getComputedStyle(el);
  const css = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const dark = isDark();
  const text = css("--jp-ui-font-color1", dark ? "#e0e0e0" : "#212121");
  const faint = css("--jp-ui-font-color2", dark ? "#a0a0a0" : "#616161");
  const back = css("--jp-layout-color0", dark ? "#111111" : "#ffffff");
  const grid = css("--jp-border-color2", dark ? "#424242" : "#e0e0e0");
  const axis = {
    gridcolor: grid,
    linecolor: grid,
    zerolinecolor: grid,
    tickfont: { color: faint },
    title: { font: { color: faint, size: 11 } }, // no standoff: plotly would look for the place of labels that may not be
    automargin: true,
  };
  return {
    layout: {
      paper_bgcolor: back,
      plot_bgcolor: back,
      font: { color: text, family: css("--jp-ui-font-family", "system-ui, sans-serif"), size: 12 },
      title: { x: 0.01, xanchor: "left", y: 1, yanchor: "top", yref: "container", pad: { t: 10 }, font: { size: 14 } },
      colorway: dark
        ? ["#64b5f6", "#ffb74d", "#81c784", "#e57373", "#ba68c8", "#4dd0e1", "#fff176", "#f06292", "#a1887f", "#90a4ae"]
        : ["#1565c0", "#c75b12", "#2e7d32", "#c62828", "#6a1b9a", "#00838f", "#9e7700", "#ad1457", "#5d4037", "#455a64"],
      xaxis: { ...axis, showline: true, tickangle: 0, nticks: Math.min(8, Math.max(2, Math.floor(el.clientWidth / 110))) },
      yaxis: { ...axis, nticks: 8 },
      legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
      hoverlabel: { bgcolor: css("--jp-layout-color1", back), bordercolor: grid, font: { color: text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: text },
      margin: { l: 16, r: 16, t: 36, b: 32 },
      dragmode: "zoom",
    },
  };
}

// plotly.js, loaded once however many charts and kernels use it, and a template with the colours of the page.

import { isDark } from "./live.js";

const shared = (globalThis[Symbol.for("fxlive.plotly")] ??= { versions: new Map(), loads: 0 });

export function loadPlotly(model) {
  const version = model.get("_plotly_version");
  if (!shared.versions.has(version)) {
    const loading = unpack(model);
    loading.catch(() => shared.versions.delete(version));
    shared.versions.set(version, loading);
  }
  return shared.versions.get(version);
}

async function unpack(model) {
  const sourceModel = await model.widget_manager.get_model(model.get("_plotly"));
  const stream = new Blob([sourceModel.get("source")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const former = Object.getOwnPropertyDescriptor(globalThis, "Plotly");
  const module = { exports: {} };
  // Own `module` and `exports` and no `define`: so it neither registers with a module loader of the page nor needs one.
  new Function("module", "exports", "define", text)(module, module.exports, undefined);
  if (former) Object.defineProperty(globalThis, "Plotly", former);
  else delete globalThis.Plotly;
  shared.loads += 1;
  return module.exports;
}

export const CONFIG = {
  displaylogo: false,
  showSendToCloud: false, // this button would upload the data
  plotlyServerURL: "",
  showTips: false,
  doubleClick: false, // the chart handles it: back to the newest point
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "resetScale2d"],
};

// Returns the template. The figure's own settings take precedence over it.
export function template(el) {
  const style = getComputedStyle(el);
  const css = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
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
    title: { font: { color: faint, size: 11 } }, // no standoff: plotly would measure tick labels that may not exist
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

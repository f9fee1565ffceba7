// Still pictures: what a saved notebook shows where there is no kernel. Each widget has an output of its own for it below
// the live one, which hides it (live.css); its metadata says whose it is. The picture is HTML that any reader takes,
// trusted or not. Where the page is not JupyterLab's, the output stays empty.

const EVERY_MS = 10_000;
const SOON_MS = 1_000;
const KEY = "fxlive_still";
const ready = new Map(); // by document: the pictures taken, by model

export function keepStill(view) {
  let timer;
  const again = async () => {
    const taken = await take(view).catch(() => false); // a view that is just ending has no picture
    if (!view.over) timer = setTimeout(again, taken ? EVERY_MS : SOON_MS);
  };
  timer = setTimeout(again, SOON_MS);
  view.undo.push(() => clearTimeout(timer));
}

async function take(view) {
  if (!view.modelId || !view.changed || !view.shown) return false;
  const model = await view.manager.get_model(view.modelId);
  const context = model.widget_manager?.context;
  if (!context?.saveState || !outputs(context).some(([, , models]) => models.includes(view.modelId))) return false;
  view.changed = false;
  const html = await view.still();
  if (html === null || view.over) return false;
  if (!ready.has(context)) {
    ready.set(context, new Map());
    // The file is made when this returns, so the pictures must be there already.
    context.saveState.connect((_, state) => state === "started" && put(context));
    context.disposed.connect(() => ready.delete(context));
  }
  ready.get(context).set(view.modelId, { html, fresh: true });
  return true;
}

function put(context) {
  const pictures = ready.get(context) ?? new Map();
  for (const [area, index, models] of outputs(context)) {
    if (!models.some((model) => pictures.get(model)?.fresh)) continue;
    const html = models.map((model) => pictures.get(model)?.html ?? "").join("\n");
    area.set(index, {
      output_type: "display_data",
      data: { "text/html": `<div class="fxlive-still">${html}</div>`, "text/plain": "" },
      metadata: { [KEY]: models },
    });
  }
  for (const picture of pictures.values()) picture.fresh = false;
}

// The outputs that are there for pictures: the cell's outputs, the place among them, and whose pictures they are.
function outputs(context) {
  const found = [];
  const cells = context.model?.cells;
  for (let c = 0; c < (cells?.length ?? 0); c++) {
    const area = cells.get(c).outputs;
    for (let o = 0; o < (area?.length ?? 0); o++) {
      const models = area.get(o).metadata?.[KEY];
      if (models) found.push([area, o, models]);
    }
  }
  return found;
}

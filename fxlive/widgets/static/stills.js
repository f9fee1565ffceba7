// Still pictures, which a saved notebook shows without a kernel. Each widget has a second output for its picture, below the
// live one, which hides it (live.css). The output's metadata names the models. A picture is HTML that any reader accepts,
// trusted or not. Outside JupyterLab the output stays empty.

const INTERVAL_MS = 10_000;
const RETRY_MS = 1_000;
const METADATA_KEY = "fxlive_still";
const picturesByDocument = new Map(); // by document: the pictures taken, by model id

export function keepStill(view) {
  let timer;
  const repeat = async () => {
    const taken = await takePicture(view).catch(() => false); // a view that is ending has no picture
    if (!view.ended) timer = setTimeout(repeat, taken ? INTERVAL_MS : RETRY_MS);
  };
  timer = setTimeout(repeat, RETRY_MS);
  view.cleanups.push(() => clearTimeout(timer));
}

async function takePicture(view) {
  if (!view.modelId || !view.changedSinceStill || !view.visible) return false;
  const model = await view.manager.get_model(view.modelId);
  const context = model.widget_manager?.context;
  if (!context?.saveState || !stillOutputs(context).some(([, , models]) => models.includes(view.modelId))) return false;
  view.changedSinceStill = false;
  const html = await view.still();
  if (html === null || view.ended) return false;
  if (!picturesByDocument.has(context)) {
    picturesByDocument.set(context, new Map());
    // JupyterLab writes the file as soon as this handler returns, so the pictures must have been taken before.
    context.saveState.connect((_, state) => state === "started" && insertPictures(context));
    context.disposed.connect(() => picturesByDocument.delete(context));
  }
  picturesByDocument.get(context).set(view.modelId, { html, isNew: true });
  return true;
}

function insertPictures(context) {
  const pictures = picturesByDocument.get(context) ?? new Map();
  for (const [area, index, models] of stillOutputs(context)) {
    if (!models.some((model) => pictures.get(model)?.isNew)) continue;
    const html = models.map((model) => pictures.get(model)?.html ?? "").join("\n");
    area.set(index, {
      output_type: "display_data",
      data: { "text/html": `<div class="fxlive-still">${html}</div>`, "text/plain": "" },
      metadata: { [METADATA_KEY]: models },
    });
  }
  for (const picture of pictures.values()) picture.isNew = false;
}

// The outputs for pictures, each as [the cell's outputs, index among them, model ids].
function stillOutputs(context) {
  const result = [];
  const cells = context.model?.cells;
  for (let c = 0; c < (cells?.length ?? 0); c++) {
    const area = cells.get(c).outputs;
    for (let o = 0; o < (area?.length ?? 0); o++) {
      const models = area.get(o).metadata?.[METADATA_KEY];
      if (models) result.push([area, o, models]);
    }
  }
  return result;
}

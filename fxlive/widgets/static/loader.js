// The code that each widget carries. The module of its kind is in the model that all widgets of a kernel share, so that
// it is sent to the page once. These are ES modules that import one another by "./name.js".

const versions = (globalThis[Symbol.for("fxlive.code")] ??= new Map());

function codeOf(page) {
  const digest = page.get("_digest");
  if (!versions.has(digest)) {
    const sources = page.get("_modules");
    const urls = new Map();
    const urlOf = (name) => {
      if (!urls.has(name)) {
        const text = sources[name].replace(/ from "\.\/(\w+)\.js"/g, (_, imported) => ` from "${urlOf(imported)}"`);
        urls.set(name, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
      }
      return urls.get(name);
    };
    const style = document.createElement("style");
    style.textContent = page.get("_css");
    document.head.append(style);
    versions.set(digest, (name) => import(urlOf(name)));
  }
  return versions.get(digest);
}

export default {
  async render({ model, el }) {
    const page = await model.widget_manager.get_model(model.get("_page"));
    const { show } = await codeOf(page)(model.get("_kind"));
    return show({ model, page, el });
  },
};

// Pictures that a person drops onto one of sdnb's widgets, pastes into it, or drags out of it, heard
// at the document before JupyterLab, and before the browser, which would leave the page and show a
// dropped file. A picture goes to the kernel as an upload does: as the value of the upload button in
// the part that takes it (`.sdnb-takes`); a button that takes one is of the class `sdnb-file-<id>`.

const DRAGGED = "application/x-sdnb-picture-"; // and the name of the widget that it comes from
const MOST = 120 * 2 ** 20; // bytes, as the button's tooltip says
const KINDS = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF are read";

const seen = (around, name) => [...around.querySelectorAll(name)].filter(each => each.offsetParent);
const isEditable = part => part.closest?.("input, textarea, select, [contenteditable=true]");

// The part that takes what comes to `target`: the one around it, else the first in sight, also in
// what is around this widget. Null where another widget hears of it.
function takerOf(target, root) {
  if (target?.closest?.("[data-sdnb-drops]") !== root) return null;
  const near = target.closest(".sdnb-takes");
  if (near && root.contains(near)) return near;
  for (let around = root; around; around = around.parentElement?.closest(".sdnb")) {
    const [first] = seen(around, ".sdnb-takes");
    if (first) return first;
  }
  return null;
}

// A canvas has no button of its own: it shows the picture of the panel's first one.
const buttonOf = (taker, root) =>
  taker.querySelector("[class*=sdnb-file-]") ?? root.querySelector(".sdnb-takes [class*=sdnb-file-]");

const megabytes = file => `${Math.round(file.size / 2 ** 20)} MB`;

function refusal(files) {
  const [file] = files;
  if (!file) return "There is no picture in it: save the picture, and drop its file.";
  if (file.type && !file.type.startsWith("image/")) return `${file.name} is no picture: ${KINDS}.`;
  if (file.size < MOST) return "";
  return `${file.name} has ${megabytes(file)}, and up to 120 MB arrive: give it in code, by its path.`;
}

const read = async file => ({
  content: await file.arrayBuffer(), name: file.name, type: file.type, size: file.size,
  last_modified: file.lastModified,
});

async function give(model, button, { files, from }) {
  const id = [...button.classList].find(name => name.startsWith("sdnb-file-")).slice(10);
  const upload = await model.widget_manager.get_model(id);
  if (from) return upload.send({ dropped: from });
  const pictures = files.filter(file => !refusal([file]));
  if (!pictures.length) return upload.send({ refused: refusal(files) });
  try {
    const value = await Promise.all(upload.get("multiple") ? pictures.map(read) : [read(pictures[0])]);
    upload.set({ value, error: "" });
    upload.save_changes();
  } catch { // a folder, or a file that is gone
    upload.send({ refused: `${pictures[0].name} could not be read: drop the file of a picture.` });
  }
}

function drops(model, root) {
  let shown = null, timer = 0, pressed = null;
  const own = DRAGGED + model.get("name");
  const hide = () => {
    clearTimeout(timer);
    shown?.classList.remove("sdnb-here");
    root()?.classList.remove("sdnb-dropping");
    shown = null;
  };
  const show = taker => {
    if (taker !== shown) hide();
    shown = taker;
    taker.classList.add("sdnb-here");
    root().classList.add("sdnb-dropping");
    clearTimeout(timer);
    timer = setTimeout(hide, 800); // while it hovers, the browser says so again and again
  };
  // Words that are dragged are not ours, and neither is a widget's own picture over that widget, but
  // for a part of it that takes one: a click whose mouse moves a little is no wish.
  const takerIn = event => {
    const types = [...(event.dataTransfer?.types ?? [])], taker = takerOf(event.target, root());
    const isPicture = types.some(type => type === "Files" || type.startsWith(DRAGGED));
    const near = event.target.closest?.(".sdnb-takes");
    const isLink = types.includes("text/uri-list") && near;
    if (!taker || !(isPicture || isLink)) return null;
    if (types.includes(own) && (taker === root() || !near)) return null;
    return buttonOf(taker, root()) && taker;
  };
  const over = event => {
    const taker = takerIn(event);
    if (!taker) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    show(taker);
  };
  // Where the focus is, or where it would be if what was clicked could have it.
  const place = () => {
    const at = document.activeElement;
    if (root()?.contains(at)) return at;
    return pressed && root()?.contains(pressed) && !isEditable(at) ? pressed : null;
  };
  return {
    dragenter: over,
    dragover: over,
    drop(event) {
      const taker = takerIn(event);
      hide();
      if (!taker) return;
      event.preventDefault();
      event.stopPropagation();
      const from = event.dataTransfer.types.find(type => type.startsWith(DRAGGED));
      const files = [...event.dataTransfer.files];
      give(model, buttonOf(taker, root()), { files, from: from?.slice(DRAGGED.length) });
    },
    paste(event) {
      const at = place(), taker = at && takerOf(at, root());
      const files = [...(event.clipboardData?.files ?? [])].filter(f => f.type.startsWith("image/"));
      const isText = isEditable(at ?? document) && event.clipboardData.types.includes("text/plain");
      const button = taker && files.length && !isText && buttonOf(taker, root());
      if (!button) return;
      event.preventDefault();
      event.stopPropagation();
      give(model, button, { files });
    },
    keydown(event) { // a canvas would keep it
      const isPaste = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "v";
      if (isPaste && !isEditable(event.target) && root()?.contains(event.target)) {
        event.stopPropagation();
      }
    },
    pointerdown({ target }) {
      pressed = target;
      const thumb = target.closest?.(".sdnb-thumb");
      if (thumb && root()?.contains(thumb)) thumb.draggable = true;
    },
    dragstart({ target, dataTransfer }) {
      if (target.closest?.("[data-sdnb-drops]") !== root()) return;
      const at = seen(root(), ".sdnb-thumb").indexOf(target.closest(".sdnb-thumb"));
      if (at < 0 && !target.matches(".sdnb-picture img, .sdnb-zoom img")) return;
      dataTransfer.setData(own, "");
      dataTransfer.effectAllowed = "copy";
      model.send({ dragged: at < 0 ? null : at });
    },
  };
}

export default {
  render({ model, el }) {
    const root = () => el.closest("." + model.get("within"));
    const end = new AbortController();
    for (const [type, act] of Object.entries(drops(model, root))) {
      document.addEventListener(type, act, { capture: true, signal: end.signal });
    }
    const mark = () => {
      if (root()) root().dataset.sdnbDrops = "";
      else if (!end.signal.aborted) requestAnimationFrame(mark);
    };
    mark();
    return () => end.abort();
  },
};

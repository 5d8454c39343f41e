// Keys, clicks and the wheel inside one of sdnb's widgets, heard at the document before anybody
// else hears them: before JupyterLab, which runs the cell at Ctrl+Enter and deletes it at D D, and
// before ipywidgets and ipycanvas. `stopPropagation` keeps an event from them.

// What a person set in a page, newest last: by the ids of the boxes, none that Python set since.
function changes(model) {
  const touched = new Map();
  const look = async () => {
    for (const id of model.get("boxes")) {
      const box = await model.widget_manager.get_model(id.slice(10));
      if (touched.has(box)) continue;
      touched.set(box, 0);
      box.on("change", (_, how) => {
        touched.delete(box);
        touched.set(box, how?.updated_view ? 1 : 0);
      });
    }
  };
  look();
  model.on("change:boxes", look);
  return () => [...touched].filter(([_, by]) => by).map(([box, _]) => box);
}

// ipywidgets sends one change of a box at a time: while the kernel is busy, the later ones wait
// here. Of lists, sliders and switches only these are brought along: they may follow one another.
const waits = box => Object.keys(box._msg_buffer ?? {}).length > 0;
const isTyped = box => /^(Text|Textarea|FloatText|Combobox)Model$/.test(box.get("_model_name"));
const valueOf = box => {
  if (box.get("index") === undefined) return box.get("value");
  return box.get("_options_labels")[box.get("index")];
};

// In one column a picture comes above the settings: what a person works on there stays where it is.
// JupyterLab keeps browsers from seeing to that.
function steady() {
  let held = null, scroller = null, at = 0, sized = null;
  const offset = () => held.getBoundingClientRect().top + scroller.scrollTop;
  const scrollerOf = part => { // ipywidgets' boxes may all scroll, and have nothing to
    const isLonger = each => each.scrollHeight > each.clientHeight + 16;
    const scrolls = each => isLonger(each) && /auto|scroll/.test(getComputedStyle(each).overflowY);
    for (let each = part; each; each = each.parentElement) if (scrolls(each)) return each;
    return document.scrollingElement;
  };
  const settle = () => {
    if (!held?.offsetParent) return;
    const moved = offset() - at, { top, bottom } = held.getBoundingClientRect();
    const seen = scroller.getBoundingClientRect(), scrolled = scroller.scrollTop;
    if (top - moved < seen.bottom && bottom - moved > seen.top) {
      scroller.scrollTop += moved;
      at += scroller.scrollTop - scrolled; // at the page's top or end, the rest is still to come
    } else at += moved;
  };
  return {
    hold(target, root) {
      held = target.closest(".sdnb-columns") && !target.closest(".sdnb-outcome") ? target : null;
      if (!held) return;
      scroller = scrollerOf(root);
      at = offset();
      sized ??= new ResizeObserver(settle);
      sized.observe(root);
    },
    release() { held = null; },
  };
}

// A letter or an arrow on a button, a list or a switch, or on the widget itself after a click on its
// words or pictures, is for nobody else: JupyterLab would take "a" for a new cell and D D or X for
// this one's end, and keep the letter from a list. What the browser does with them is left to it.
const isForNobodyElse = ({ key, target, ctrlKey, metaKey, altKey }, root) =>
  (key.length === 1 || key.startsWith("Arrow")) && !ctrlKey && !metaKey && !altKey
  && (target === root || target.matches("button, select, a, input[type=checkbox], input[type=radio]"));
const keep = (event, root) => { if (isForNobodyElse(event, root)) event.stopPropagation(); };

function panel(model) {
  // What is typed or chosen may arrive after the click that follows it. So Generate brings it along.
  const changed = changes(model), steadied = steady();
  const generate = (event, root) => {
    event.stopPropagation();
    event.preventDefault();
    if (root.querySelector(".sdnb-generate").disabled) return;
    steadied.release(); // the picture is what one looks for now
    const at = document.activeElement;
    if (at.matches("input, textarea")) at.dispatchEvent(new Event("change", { bubbles: true }));
    const boxes = changed().filter(box => isTyped(box) || waits(box));
    model.send({ values: boxes.map(box => [box.model_id, valueOf(box)]) });
  };
  // A number that is left open stands there in grey: what is typed replaces it, and an emptied box
  // is open again, which ipywidgets would fill with the number before.
  const isOpenable = box => box.matches("input[type=number]") && box.closest(".sdnb-openable");
  // What a click unfolds or adds may be below the window's edge, and comes when Python has made it:
  // the page then moves, by as little as it takes.
  const reveal = (box, part) => {
    const sized = new ResizeObserver(
      () => part()?.scrollIntoView({ block: "nearest", behavior: "smooth" }));
    sized.observe(box);
    setTimeout(() => sized.disconnect(), 3000);
  };
  // A box that is emptied has the number again that was taken last, and not the one that was refused,
  // which ipywidgets would fill it with.
  const taken = new WeakMap(), typing = new WeakSet();
  const isWrong = box => box.closest(".sdnb-wrong");
  const note = box => {
    if (!typing.has(box) && !isWrong(box) && box.value) taken.set(box, box.value);
  };
  // A question that is answered gives the focus back: without one, the notebook would take the keys.
  const answered = question => {
    if (question) setTimeout(() => question.closest(".sdnb").querySelector(".sdnb-generate").focus());
  };
  const rows = box => [...box.querySelectorAll(".sdnb-lora")];
  let entered = null;
  // A letter of several keys is in its box before it is chosen. A page that is loaded anew composes
  // nothing, whatever the last one did.
  const composing = is => model.send({ composing: is });
  composing(false);
  return {
    compositionstart: () => composing(true),
    compositionend: () => composing(false),
    focusin({ target }, root) {
      steadied.hold(target, root);
      if (target.matches("input[type=number]")) note(target);
      entered = isOpenable(target) && target.closest(".sdnb-open") ? target : null;
      entered?.select();
    },
    // A browser that writes numbers with a point leaves a comma out: 7,5 would be 75.
    beforeinput(event) {
      const { target, data } = event;
      if (target.matches("input[type=number]")) {
        note(target);
        typing.add(target);
      }
      const isPoint = (0.5).toLocaleString().includes(".");
      if (!isPoint || !target.matches("input[type=number]")) return;
      if (!/^[^,]*,\d{0,2}$/.test(data ?? "")) return; // of three digits, it parts thousands
      event.preventDefault();
      document.execCommand("insertText", false, data.replace(",", "."));
    },
    pointerup() {
      if (entered && entered === document.activeElement) entered.select();
      entered = null;
    },
    change({ target }) {
      typing.delete(target);
      if (isWrong(target) && !isOpenable(target) && !target.value && taken.has(target)) {
        target.value = taken.get(target); // before ipywidgets looks
      }
      if (isOpenable(target) && !target.value) {
        target.closest(".sdnb-openable").querySelector(".sdnb-reset").click();
      }
    },
    pointerdown: ({ target }, root) => steadied.hold(target, root),
    keydown(event, root) {
      const isEnter = event.key === "Enter" && !event.isComposing;
      const isHeld = event.ctrlKey || event.metaKey;
      const question = event.key === "Escape" && event.target.closest(".sdnb-asks");
      if (question) {
        event.stopPropagation();
        [...question.querySelectorAll("button")].at(-1).click();
        return;
      }
      if (isEnter && (isHeld || event.target.closest(".sdnb-enters"))) generate(event, root);
      else {
        steadied.hold(event.target, root);
        keep(event, root);
      }
    },
    click(event, root) {
      const { target } = event;
      if (target.closest(".sdnb-generate")) generate(event, root);
      if (target.closest("button")) answered(target.closest(".sdnb-asks"));
      const fold = target.closest(".sdnb-fold");
      if (fold) reveal(fold.parentNode, () => fold.matches(".mod-active") ? fold.parentNode : null);
      const shows = target.closest(".sdnb-shows");
      const canvas = () => [...root.querySelectorAll(".sdnb-stage canvas")].find(each => each.offsetParent);
      if (shows) reveal(root, () => shows.matches(".mod-active") ? canvas() : null);
      const addons = target.closest(".sdnb-library") && target.closest(".sdnb-addons");
      const before = addons ? rows(addons) : [];
      if (addons) reveal(addons, () => rows(addons).find(row => !before.includes(row)));
    },
  };
}

function gallery(model, signal) {
  // The thumbnails are places, and a picture that comes moves the others on: the focus goes with its
  // picture, which keys name by its number.
  let held = null, within = null;
  const thumbs = () => [...within.querySelectorAll(".sdnb-thumb")].filter(each => each.offsetParent);
  const placeOf = part => thumbs().indexOf(part.closest(".sdnb-thumb"));
  const hold = ({ target }, root) => {
    within = root;
    held = model.get("pictures")[placeOf(target)] ?? null;
  };
  const follow = () => {
    if (!within?.isConnected || held === null) return;
    const at = placeOf(document.activeElement), next = model.get("pictures").indexOf(held);
    if (at < 0 || next === at) return;
    if (next < 0) held = null; // it has left the page: no key is for what is in its place
    else thumbs()[next]?.focus({ preventScroll: true });
  };
  model.on("change:pictures", follow);
  signal.addEventListener("abort", () => model.off("change:pictures", follow));
  // With Ctrl or Shift a click picks several, and opens none.
  const pick = (event, root) => {
    hold(event, root);
    if (held === null) return;
    event.stopPropagation();
    event.preventDefault();
    model.send({ key: event.shiftKey ? "pick up to" : "pick", number: held });
  };
  return {
    focusin: hold,
    click(event, root) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) pick(event, root);
    },
    keydown(event, root) {
      const { key, target } = event;
      if (key === " " && (event.ctrlKey || event.metaKey)) pick(event, root);
      if (event.ctrlKey || event.metaKey || event.altKey || key === "Tab") return;
      // A click on the open picture leaves the focus in the box that makes it large.
      if (target.closest("input:not(.sdnb-zoom *), textarea, select")) return;
      event.stopPropagation();
      within = root;
      const numbers = model.get("pictures"), all = thumbs(), at = placeOf(target);
      const number = at < 0 ? null : held;
      if (["Delete", "Escape", "s", "S"].includes(key)) model.send({ key, number });
      if (["Home", "End"].includes(key)) {
        event.preventDefault();
        model.send({ key });
      }
      const columns = all.filter(each => each.offsetTop === all[0].offsetTop).length;
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
      if (!step) return;
      event.preventDefault();
      const chosen = all.findIndex(each => each.classList.contains("sdnb-chosen"));
      const from = at < 0 ? chosen : number === null ? at : numbers.indexOf(number);
      const next = from < 0 ? -1 : from + step;
      all[next]?.focus();
      model.send({ key: "move", number: numbers[from] ?? null, step, focused: next in all });
    },
  };
}

function canvas() {
  return {
    wheel(event) {
      const away = document.activeElement !== event.target && !event.ctrlKey && !event.metaKey;
      if (away && event.target.matches("canvas")) event.stopPropagation(); // the page scrolls
    },
  };
}

function tabs(model) {
  model.send({ ready: true });
  return { keydown: keep };
}

export default {
  render({ model, el }) {
    const root = () => el.closest(".sdnb-mask, .sdnb");
    const end = new AbortController();
    const kind = { panel, gallery, canvas, tabs }[model.get("kind")](model, end.signal);
    for (const [type, act] of Object.entries(kind)) {
      const hear = event => root()?.contains(event.target) && act(event, root());
      const how = { capture: true, passive: type === "wheel", signal: end.signal };
      document.addEventListener(type, hear, how);
    }
    // A click on what takes no focus gives it to the widget, and not to the notebook's cell. Else the
    // widget is none of the parts that take it, which have names.
    const takesNone = target => {
      const part = target.closest("button, input, select, textarea, a, canvas, label, [tabindex]");
      return root()?.contains(target) && (!part || !root().contains(part) || part === root());
    };
    const takeFocus = ({ target }) => { if (takesNone(target)) root().tabIndex = -1; };
    // ipycanvas focuses what is pressed, and the page would move to it, under the pen.
    const stay = ({ target }) => {
      if (target.matches("canvas") && root()?.contains(target)) {
        target.focus = () => HTMLElement.prototype.focus.call(target, { preventScroll: true });
      }
    };
    const leaveFocus = ({ target }) => { if (target === root()) target.removeAttribute("tabindex"); };
    const early = { capture: true, signal: end.signal };
    for (const act of [takeFocus, stay]) document.addEventListener("pointerdown", act, early);
    document.addEventListener("focusout", leaveFocus, early);
    // What Python has just made or shown is in the page some frames later, or seconds where the page
    // is busy with hundreds of widgets; who does something meanwhile keeps the focus where it is.
    let turn = 0;
    for (const type of ["pointerdown", "keydown"]) document.addEventListener(type, () => turn++, early);
    const focus = ({ focus: name, top }, mine = ++turn, began = performance.now()) => {
      const waited = performance.now() - began; // ms
      if (waited > 20_000 || (waited > 1000 && turn !== mine)) return;
      const found = root()?.querySelector(`.${name}`);
      if (found?.offsetParent) {
        found.focus({ preventScroll: Boolean(top) });
        if (top) root().querySelector(top)?.scrollIntoView({ block: "start" });
        kind.focusin?.({ target: found }, root()); // also where it had it, for another picture
      } else requestAnimationFrame(() => focus({ focus: name, top }, mine, began));
    };
    const told = message => {
      if (message.asked) model.send(message); // all that was sent before is heard by now
      else if (message.focus) focus(message);
      // An opened picture may be below the window's edge.
      else setTimeout(() => root()?.querySelector(message.see)?.scrollIntoView({ block: "nearest" }), 200);
    };
    model.on("msg:custom", told);
    return () => { end.abort(); model.off("msg:custom", told); };
  },
};

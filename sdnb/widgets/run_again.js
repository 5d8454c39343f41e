// ipywidgets looks for an output's widget for 2 s, and not once more at their end. A page that is
// loaded again and is busy with a thousand widgets in that moment says "model not found" of one that
// is there by then, and leaves it so. Where it says so of ours, it is put there.

async function mend(model) {
  const id = model.get("shown"), manager = model.widget_manager;
  for (const line of document.querySelectorAll(`.sdnb-again[data-widget="${id}"]`)) {
    const child = line.closest(".jp-OutputArea-child")?.previousElementSibling;
    const output = child?.querySelector(".jp-OutputArea-output.jupyter-widgets");
    if (!output || output.firstElementChild) continue;
    output.classList.remove("jupyter-widgets"); // which says that nothing is there
    output.textContent = "";
    const { luminoWidget } = await manager.create_view(await manager.get_model(id));
    luminoWidget.constructor.attach(luminoWidget, output);
  }
}

export default {
  initialize({ model }) {
    let looks = 0; // for half a minute: ipywidgets may find out late that it was too slow
    const looking = setInterval(() => {
      mend(model);
      if (++looks === 30) clearInterval(looking);
    }, 1000);
    return () => clearInterval(looking);
  },
};

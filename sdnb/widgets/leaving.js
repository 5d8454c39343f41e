// While the kernel says that it is busy, and once somebody has drawn, the browser asks before the page
// is left or loaded again: what is drawn goes with it.
// Voila ends the kernel and its connection as soon as that question may come, and so also of one who
// stays: it hears of it when the page goes. For that, this stands in the page before voila's code.
{
  let asked = false; // whether voila has not been told
  let goes = false;
  let drawn = false;
  const draws = ({ target }) => { drawn ||= Boolean(target.matches?.(".sdnb-stage canvas")); };
  addEventListener("pointerdown", draws, true);
  addEventListener("beforeunload", (event) => {
    if (goes) return;
    asked = drawn || Boolean(window.sdnbIsBusy?.());
    if (!asked) return;
    event.preventDefault();
    event.returnValue = ""; // for older browsers
    event.stopImmediatePropagation();
  });
  addEventListener("pagehide", () => {
    if (!asked) return;
    goes = true;
    dispatchEvent(new Event("beforeunload"));
  });
}

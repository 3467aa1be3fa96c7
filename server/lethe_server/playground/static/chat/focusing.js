// Where the focus goes when what had it is gone.

const hasKeys = () => !matchMedia("(hover: none)").matches;

/** To the prompt; where there is a touch screen alone it stays, as a keyboard would come up. */
export function focusPrompt() {
  if (hasKeys()) document.getElementById("prompt").focus({ preventScroll: true });
}

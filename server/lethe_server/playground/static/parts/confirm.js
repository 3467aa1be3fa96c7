// A question that has to be answered before something is changed.
import { Announcements } from "../messages.js";
import { html, useEffect, useRef } from "../ui.js";

// Shown as long as it is rendered; Escape is a no.
export function Confirm({ title, action, danger, onYes, onNo, children }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  // Closed before it is removed: only then the focus goes back to where it was.
  const answer = (told) => (event) => {
    event.preventDefault();
    dialog.current.close();
    told();
  };
  return html`<dialog ref=${dialog} class="confirm" aria-labelledby="confirm-title" onCancel=${answer(onNo)}>
    <h2 id="confirm-title">${title}</h2>
    <div>${children}</div>
    <div class="buttons">
      <button type="button" class="quiet" autofocus onClick=${answer(onNo)}>Leave it</button>
      <button type="button" class=${danger ? "danger" : "primary"} onClick=${answer(onYes)}>${action}</button>
    </div>
    <${Announcements} />
  </dialog>`;
}

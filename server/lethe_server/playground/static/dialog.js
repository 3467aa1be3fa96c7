// A modal dialog, the browser's own: Escape closes it, and the focus goes back to where it was.
import { Announcements } from "./messages.js";
import { html, useEffect, useId, useRef } from "./ui.js";

export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => box.current.showModal(), []);
  return html`<dialog ref=${box} aria-labelledby=${id} onClose=${onClose}>
    <div class="dialog-head">
      <h2 id=${id}>${title}</h2>
      <button type="button" class="quiet" onClick=${() => box.current.close()}>Close</button>
    </div>
    ${children}
    <${Announcements} />
  </dialog>`;
}

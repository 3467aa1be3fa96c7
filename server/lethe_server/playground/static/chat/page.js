import { html } from "../ui.js";

export function ChatPage() {
  return html`<h1>Chat</h1>`;
}

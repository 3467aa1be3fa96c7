// The frame of the playground: header, navigation, the page of the address.
import { ChatPage } from "./chat/page.js";
import { ExperimentsPage } from "./experiments/page.js";
import { ProfilesPage } from "./profiles/page.js";
import { CopyByHand } from "./copying.js";
import "./dropping.js";
import { KeyButton, KeyForm } from "./key.js";
import { page, rest } from "./router.js";
import { theme, toggleTheme } from "./theme.js";
import { html, render, useEffect, useRef } from "./ui.js";

const PAGES = {
  chat: { title: "Chat", component: ChatPage },
  profiles: { title: "Profiles", component: ProfilesPage },
  experiments: { title: "Experiments", component: ExperimentsPage },
};

function App() {
  const main = useRef(null);
  const first = useRef(true);
  const name = page.value;
  const of = rest.value;
  const found = PAGES[name];
  useEffect(() => {
    document.title = `${of && `${of} · `}${found?.title ?? "Not found"} · Lethe playground`;
    // Somebody who followed a link starts at the new page's beginning; whoever just came does not.
    if (!first.current) main.current.focus();
    first.current = false;
  }, [name, of]);

  return html`<a class="skip" href="#main" onClick=${skipTo(main)}>Skip to the content</a>
    <header class="top">
      <p class="brand"><img src=${new URL("icon.svg", import.meta.url).href} alt="" width="24" height="24" />Lethe</p>
      <nav aria-label="Pages">
        ${Object.entries(PAGES).map(
          ([id, { title }]) => html`<a href="#/${id}" aria-current=${id === name ? "page" : null}>${title}</a>`,
        )}
      </nav>
      <div class="top-tools">
        <${KeyButton} />
        <button type="button" class="quiet" onClick=${toggleTheme}>
          <span aria-hidden="true">${theme.value === "dark" ? "☀" : "☾"}</span>
          ${" "}${theme.value === "dark" ? "Light" : "Dark"}
        </button>
      </div>
      <${KeyForm} />
    </header>
    <main id="main" ref=${main} tabindex="-1" class="page-${name}">
      ${found ? html`<${found.component} />` : html`<${NotFound} />`}
    </main>
    <${CopyByHand} />`;
}

/** The fragment of the address is the router's, so that the link moves the focus by itself. */
const skipTo = (main) => (event) => {
  event.preventDefault();
  main.current.focus();
};

const NotFound = () =>
  html`<h1>No such page</h1>
    <p>There are <a href="#/chat">chat</a>, <a href="#/profiles">profiles</a> and <a href="#/experiments">experiments</a>.</p>`;

render(html`<${App} />`, document.getElementById("app"));
